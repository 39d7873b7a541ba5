-- Every table replaces by its primary key: of two versions the one of the greater rank stays (sinks/postgres/tables.py).
-- Amounts are NUMERIC without a precision: exact, in arithmetic too. Keys are compared byte by byte (COLLATE "C").
-- Plain PostgreSQL parts the tables by month; for TimescaleDB, which parts by itself, these words are left out.

-- Columns of fixed width stand first: so a row has no gaps between them.
CREATE TABLE trades
(
    minute timestamptz NOT NULL, -- in the key: a copy that tells another time of the same minute is the same trade
    time timestamptz NOT NULL,
    received timestamptz NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C" NOT NULL,
    price numeric NOT NULL,
    qty numeric NOT NULL,
    side text NOT NULL,
    source text NOT NULL,
    run text,
    seq bigint,
    PRIMARY KEY (exchange, symbol, minute, trade_id)
) PARTITION BY RANGE (minute);

CREATE TABLE candles
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    timeframe text COLLATE "C" NOT NULL,
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
    first_trade_id text,
    last_trade_id text,
    revision bigint NOT NULL,
    status text NOT NULL,
    run text,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, timeframe, open_time)
) PARTITION BY RANGE (open_time);

-- One row a window of a ticker.
CREATE TABLE tickers
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    last numeric NOT NULL,
    live boolean NOT NULL,
    revision bigint NOT NULL,
    minutes bigint NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    change numeric NOT NULL,
    change_percent numeric NOT NULL,
    vwap numeric,
    volume numeric NOT NULL,
    quote_volume numeric NOT NULL,
    taker_buy_volume numeric NOT NULL,
    trades bigint NOT NULL,
    status text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, "window", time)
) PARTITION BY RANGE (time);

CREATE TABLE funding
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    rate numeric NOT NULL,
    kind text NOT NULL,
    next_time timestamptz,
    mark_price numeric,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, time)
) PARTITION BY RANGE (time);

CREATE TABLE feeds
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL,
    first_id text,
    last_id text,
    from_time timestamptz,
    until_time timestamptz,
    run text,
    reason text,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol, at, partition, "offset")
) PARTITION BY RANGE (at);

CREATE TABLE instruments
(
    exchange text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    native text NOT NULL,
    base text NOT NULL,
    quote text NOT NULL,
    status text NOT NULL,
    tick numeric,
    lot numeric,
    since timestamptz,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (exchange, symbol)
);

CREATE INDEX candles_by_time ON candles (open_time);
