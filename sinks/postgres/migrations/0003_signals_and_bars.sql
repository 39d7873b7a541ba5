-- Tickers say more of each window.
ALTER TABLE tickers
    ADD COLUMN since timestamptz,
    ADD COLUMN missing bigint,
    ADD COLUMN taker_buy_share numeric,
    ADD COLUMN realised_volatility numeric;

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

-- Bars: `run` is empty if a row is live.
CREATE TABLE bars
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    threshold numeric NOT NULL,
    run text COLLATE "C" NOT NULL,
    series_begin timestamptz NOT NULL,
    number bigint NOT NULL,
    open_time timestamptz NOT NULL,
    close_time timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    quote_volume numeric NOT NULL,
    trades bigint NOT NULL,
    taker_buy_volume numeric NOT NULL,
    taker_buy_quote_volume numeric NOT NULL,
    first_trade_id text NOT NULL,
    last_trade_id text NOT NULL,
    remainder numeric NOT NULL,
    late_trades bigint NOT NULL,
    revision bigint NOT NULL,
    status text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, kind, threshold, run, series_begin, number, close_time)
) PARTITION BY RANGE (close_time);
