-- The warm store's tables, version 4 (in each table's comment); stores of earlier versions come here by migrations/.
-- Every table replaces by its data key, which is its sorting key: read with FINAL, or argMax by the version. No TTL:
-- rows leave when their cold copy is verified.
-- Decimals have 76 digits, twice what a value needs: where a sum or product has more digits, ClickHouse gives a wrong
-- result without an error. So the product of any two columns, and sums of it, are right; for three, cast to Float64.
-- They take no more space: GCD divides the values of a block by the tick, or the lot, that they are multiples of.
-- Codecs are chosen by bench/bench_stores.py. Columns that are ALIAS are computed when they are asked for by name.
-- non_replicated_deduplication_window: an insert that is sent again because its answer was lost is recognised by its
-- token.

CREATE TABLE IF NOT EXISTS trades
(
    exchange LowCardinality(String) CODEC(ZSTD(1)),
    symbol LowCardinality(String) CODEC(ZSTD(1)),
    -- The id: a number as told by market.trade.numeric_id, and no text; or else -1, and the text.
    id_number Int64 CODEC(DoubleDelta, ZSTD(1)),
    id_text String CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, ZSTD(1)),
    price Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    qty Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    side LowCardinality(String) CODEC(ZSTD(1)),
    received DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    run LowCardinality(String) CODEC(ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    seq Nullable(Int64) CODEC(ZSTD(1)),
    -- Of several copies of a trade the one of the greatest counts, as in candles (sinks/rows.py).
    precedence UInt64 CODEC(Delta, T64, ZSTD(1)),
    trade_id String ALIAS if(id_number < 0, id_text, toString(id_number)),
    offset UInt64 ALIAS if(
        precedence < 9223372036854775808, 9223372036854775807 - precedence, precedence - 9223372036854775808
    ),
    quote_qty Decimal(76, 36) ALIAS price * qty
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(time)
-- By minute and id: a copy that tells another time of the same minute is the same trade, as it is to a candle.
ORDER BY (exchange, symbol, intDiv(toUnixTimestamp64Micro(time), 60000000), id_number, id_text)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

CREATE TABLE IF NOT EXISTS candles
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    timeframe LowCardinality(String),
    open_time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    close_time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    open Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    high Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    low Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    close Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    trades UInt64 CODEC(ZSTD(1)),
    taker_buy_volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    taker_buy_quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
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
-- A question is about a market's days or months, so a place in the index every 8,192 rows would have it read twice of
-- what it needs. Tables made before have that, and give the same answers.
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 1024
COMMENT 'candlewick 4';

-- One row a window of a ticker.
CREATE TABLE IF NOT EXISTS tickers
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    window LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    last Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    live Bool,
    revision UInt64 CODEC(Delta, ZSTD(1)),
    minutes UInt64 CODEC(ZSTD(1)),
    open Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    high Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    low Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    close Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    change Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    change_percent Decimal(76, 4) CODEC(GCD, ZSTD(1)),
    vwap Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)),
    volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    taker_buy_volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    trades UInt64 CODEC(ZSTD(1)),
    status LowCardinality(String),
    since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    missing Nullable(UInt64) CODEC(ZSTD(1)),
    taker_buy_share Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)),
    realised_volatility Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(time)
ORDER BY (exchange, symbol, window, time)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

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
COMMENT 'candlewick 4';

CREATE TABLE IF NOT EXISTS funding
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    rate Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    kind LowCardinality(String),
    next_time Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    mark_price Nullable(Decimal(76, 18)) CODEC(ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1)),
    -- A settled rate counts before an expected one; of several of a kind the last in the log counts.
    precedence UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(time)
ORDER BY (exchange, symbol, time)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

-- The newest of each market.
CREATE TABLE IF NOT EXISTS instruments
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    native String CODEC(ZSTD(1)),
    base LowCardinality(String),
    quote LowCardinality(String),
    status LowCardinality(String),
    tick Nullable(Decimal(76, 18)) CODEC(ZSTD(1)),
    lot Nullable(Decimal(76, 18)) CODEC(ZSTD(1)),
    contract Nullable(Decimal(76, 18)) CODEC(ZSTD(1)),
    since Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (exchange, symbol)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

CREATE TABLE IF NOT EXISTS signals
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    kind LowCardinality(String),
    -- The other market's key; empty where it is about one market.
    other LowCardinality(String),
    window_minutes UInt64 CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    state LowCardinality(String),
    severity LowCardinality(String),
    values Map(String, Decimal(76, 18)) CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(time)
ORDER BY (exchange, symbol, kind, other, window_minutes, time)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

CREATE TABLE IF NOT EXISTS bars
(
    exchange LowCardinality(String),
    symbol LowCardinality(String),
    kind LowCardinality(String),
    threshold Decimal(76, 18) CODEC(ZSTD(1)),
    run LowCardinality(String),
    series_begin DateTime64(6, 'UTC') CODEC(ZSTD(1)),
    number UInt64 CODEC(Delta, ZSTD(1)),
    open_time DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, ZSTD(1)),
    close_time DateTime64(6, 'UTC') CODEC(GCD, Delta, T64, ZSTD(1)),
    open Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    high Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    low Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    close Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    trades UInt64 CODEC(ZSTD(1)),
    taker_buy_volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    taker_buy_quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    first_trade_id String CODEC(ZSTD(1)),
    last_trade_id String CODEC(ZSTD(1)),
    remainder Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    late_trades UInt64 CODEC(ZSTD(1)),
    revision UInt64 CODEC(Delta, ZSTD(1)),
    status LowCardinality(String),
    partition UInt16 CODEC(ZSTD(1)),
    offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(close_time)
ORDER BY (exchange, symbol, kind, threshold, run, series_begin, number)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'candlewick 4';

-- Candles of any length in minutes, made of the newest revision of each 1m candle, before and after merges:
-- SELECT * FROM candles_of(exchange = 'binance', symbol = 'BTC-USDT', minutes = 7, from_time = '2026-01-31 00:00:00',
--                          until_time = '2026-02-01 00:00:00')
-- Windows are counted from 1970-01-01 UTC. `minutes_held` says how many of a window's minutes there are: the rolling
-- processor makes a candle only when all are. Its revision is the greatest, its status the worst of its minutes.
CREATE OR REPLACE VIEW candles_of AS
WITH ['complete', 'connected', 'kline', 'hole'] AS best_first
SELECT
    fromUnixTimestamp64Milli(toInt64(window_number * {minutes:UInt32} * 60000), 'UTC') AS open_time,
    argMin(c.open, c.open_time) AS open,
    max(c.high) AS high,
    min(c.low) AS low,
    argMax(c.close, c.open_time) AS close,
    sum(c.volume) AS volume,
    sum(c.quote_volume) AS quote_volume,
    sum(c.trades) AS trades,
    sum(c.taker_buy_volume) AS taker_buy_volume,
    sum(c.taker_buy_quote_volume) AS taker_buy_quote_volume,
    argMin(c.first_trade_id, c.open_time) AS first_trade_id,
    argMax(c.last_trade_id, c.open_time) AS last_trade_id,
    max(c.revision) AS revision,
    best_first[max(indexOf(best_first, c.status))] AS status,
    count() AS minutes_held
FROM candles AS c FINAL
WHERE c.exchange = {exchange:String} AND c.symbol = {symbol:String} AND c.timeframe = '1m'
    AND c.open_time >= toDateTime64({from_time:String}, 3, 'UTC')
    AND c.open_time < toDateTime64({until_time:String}, 3, 'UTC')
GROUP BY intDiv(toUnixTimestamp64Milli(c.open_time), {minutes:UInt32} * 60000) AS window_number
ORDER BY open_time
