-- The warm store's tables, version 2 (in each table's comment). Every one replaces by its data key, which is its
-- sorting key: read with FINAL, or argMax by the version. No TTL: rows leave when their cold copy is verified.
-- Decimals have 76 digits, twice what a value needs: where a sum or product has more digits, ClickHouse gives a wrong
-- result without an error. So the product of any two columns, and sums of it, are right; for three, cast to Float64.
-- non_replicated_deduplication_window: an insert that is sent again because its answer was lost is recognised by its
-- token.

CREATE TABLE IF NOT EXISTS trades
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    trade_id String CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    price Decimal(76, 18) CODEC(ZSTD(1)),
    qty Decimal(76, 18) CODEC(ZSTD(1)),
    side LowCardinality(String),
    received DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    run LowCardinality(String),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(DoubleDelta, ZSTD(1)),
    seq Nullable(Int64) CODEC(ZSTD(1)),
    -- Of several copies of a trade the one of the greatest counts, as in candles (sinks/rows.py).
    precedence UInt64 CODEC(DoubleDelta, ZSTD(1)),
    quote_qty Decimal(76, 36) ALIAS price * qty
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(time)
-- By minute and id: a copy that tells another time of the same minute is the same trade, as it is to a candle.
ORDER BY (exchange, symbol, intDiv(toUnixTimestamp64Micro(time), 60000000), trade_id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 2';

CREATE TABLE IF NOT EXISTS candles
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    timeframe LowCardinality(String),
    open_time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    close_time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    open Decimal(76, 18) CODEC(ZSTD(1)),
    high Decimal(76, 18) CODEC(ZSTD(1)),
    low Decimal(76, 18) CODEC(ZSTD(1)),
    close Decimal(76, 18) CODEC(ZSTD(1)),
    volume Decimal(76, 18) CODEC(ZSTD(1)),
    quote_volume Decimal(76, 22) CODEC(ZSTD(1)),
    trades UInt64 CODEC(ZSTD(1)),
    taker_buy_volume Decimal(76, 18) CODEC(ZSTD(1)),
    taker_buy_quote_volume Decimal(76, 22) CODEC(ZSTD(1)),
    first_trade_id Nullable(String) CODEC(ZSTD(1)),
    last_trade_id Nullable(String) CODEC(ZSTD(1)),
    revision UInt64 CODEC(Delta, ZSTD(1)),
    status LowCardinality(String),
    run LowCardinality(String),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(open_time)
ORDER BY (exchange, symbol, timeframe, open_time)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 2';

-- One row a window of a ticker.
CREATE TABLE IF NOT EXISTS tickers
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    window LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    last Decimal(76, 18) CODEC(ZSTD(1)),
    live Bool,
    revision UInt64 CODEC(Delta, ZSTD(1)),
    minutes UInt64 CODEC(ZSTD(1)),
    open Decimal(76, 18) CODEC(ZSTD(1)),
    high Decimal(76, 18) CODEC(ZSTD(1)),
    low Decimal(76, 18) CODEC(ZSTD(1)),
    close Decimal(76, 18) CODEC(ZSTD(1)),
    change Decimal(76, 18) CODEC(ZSTD(1)),
    change_percent Decimal(76, 4) CODEC(ZSTD(1)),
    vwap Nullable(Decimal(76, 18)) CODEC(ZSTD(1)),
    volume Decimal(76, 18) CODEC(ZSTD(1)),
    quote_volume Decimal(76, 22) CODEC(ZSTD(1)),
    taker_buy_volume Decimal(76, 18) CODEC(ZSTD(1)),
    trades UInt64 CODEC(ZSTD(1)),
    status LowCardinality(String),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(time)
ORDER BY (exchange, symbol, window, time)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 2';

CREATE TABLE IF NOT EXISTS feeds
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    event LowCardinality(String),
    first_id Nullable(String) CODEC(ZSTD(1)),
    last_id Nullable(String) CODEC(ZSTD(1)),
    from_time Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    until_time Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    run Nullable(String) CODEC(ZSTD(1)),
    reason Nullable(String) CODEC(ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (exchange, symbol, at, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 2'
