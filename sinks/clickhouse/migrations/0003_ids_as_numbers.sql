-- From version 2. Trades take less than half of the space. Ids that are numbers are kept as numbers, in the sorting key
-- too, so the table is made anew and filled partition by partition; the earlier one stays as trades_2, for a person to
-- drop. This can be interrupted and repeated. A sink of the earlier version that still runs finds no table that it knows
-- and stops, so nothing is lost. The other tables get new codecs for what is written from now on.

RENAME TABLE trades TO trades_2;

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
COMMENT 'candlewick 2, being filled';

-- For each partition of trades_2 that trades does not hold yet.
INSERT INTO trades
    (exchange, symbol, id_number, id_text, time, price, qty, side, received, source, run, partition, seq, precedence)
WITH match(trade_id, '^(0|[1-9][0-9]{0,17})$') AS is_number
SELECT exchange, symbol, if(is_number, toInt64OrZero(trade_id), -1), if(is_number, '', trade_id),
    time, price, qty, side, received, source, run, partition, seq, precedence
FROM trades_2
WHERE _partition_id = {partition:String};

ALTER TABLE candles
    MODIFY COLUMN open Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN high Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN low Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN close Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN taker_buy_volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN taker_buy_quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1));

ALTER TABLE tickers
    MODIFY COLUMN last Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN open Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN high Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN low Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN close Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN change Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN change_percent Decimal(76, 4) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN vwap Nullable(Decimal(76, 18)) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN volume Decimal(76, 18) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN quote_volume Decimal(76, 22) CODEC(GCD, ZSTD(1)),
    MODIFY COLUMN taker_buy_volume Decimal(76, 18) CODEC(GCD, ZSTD(1));

ALTER TABLE tickers MODIFY COMMENT 'candlewick 3';
ALTER TABLE feeds MODIFY COMMENT 'candlewick 3';
ALTER TABLE candles MODIFY COMMENT 'candlewick 3';
-- A group's offsets go on counting: the id of the table that its rows came from stays its id.
ALTER TABLE trades MODIFY COMMENT 'candlewick 3, in place of {uuid of trades_2}'
