-- Signals: `other` is the other market's key, empty where it is about one market; `values` are decimals in strings.
CREATE TABLE signals
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    other text COLLATE "C" NOT NULL,
    window_minutes bigint NOT NULL,
    time timestamptz NOT NULL,
    state text NOT NULL,
    severity text NOT NULL,
    "values" jsonb NOT NULL,
    revision bigint NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, kind, other, window_minutes, time)
) PARTITION BY RANGE (time);
