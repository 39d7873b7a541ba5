-- TimescaleDB: chunks by time, compressed by symbol after a week; longer candles are continuous aggregates, each made of
-- the one before it. They are refreshed wherever candles changed, however long ago (start_offset NULL), and what is not
-- materialised yet is computed when it is asked for (materialized_only = false).

SELECT create_hypertable('trades', 'minute', chunk_time_interval => interval '1 day', create_default_indexes => false);
SELECT create_hypertable('candles', 'open_time', chunk_time_interval => interval '30 days', create_default_indexes => false);
SELECT create_hypertable('tickers', 'time', chunk_time_interval => interval '7 days', create_default_indexes => false);
SELECT create_hypertable('funding', 'time', chunk_time_interval => interval '1 year', create_default_indexes => false);
SELECT create_hypertable('feeds', 'at', chunk_time_interval => interval '30 days', create_default_indexes => false);

ALTER TABLE trades SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol', timescaledb.compress_orderby = 'minute, trade_id');
ALTER TABLE candles SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol, timeframe', timescaledb.compress_orderby = 'open_time');
ALTER TABLE tickers SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol, "window"', timescaledb.compress_orderby = 'time');
SELECT add_compression_policy('trades', interval '7 days');
SELECT add_compression_policy('candles', interval '7 days');
SELECT add_compression_policy('tickers', interval '7 days');

CREATE MATERIALIZED VIEW candles_5m WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT exchange, symbol, time_bucket(interval '5 minutes', open_time) AS open_time,
    first(open, open_time) AS open, max(high) AS high, min(low) AS low, last(close, open_time) AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    count(*) AS minutes, count(*) FILTER (WHERE status <> 'complete') AS not_complete
FROM candles GROUP BY 1, 2, 3 WITH NO DATA;

CREATE MATERIALIZED VIEW candles_1h WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT exchange, symbol, time_bucket(interval '1 hour', open_time) AS open_time,
    first(open, open_time) AS open, max(high) AS high, min(low) AS low, last(close, open_time) AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    sum(minutes) AS minutes, sum(not_complete) AS not_complete
FROM candles_5m GROUP BY 1, 2, 3 WITH NO DATA;

CREATE MATERIALIZED VIEW candles_1d WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT exchange, symbol, time_bucket(interval '1 day', open_time) AS open_time,
    first(open, open_time) AS open, max(high) AS high, min(low) AS low, last(close, open_time) AS close,
    sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades) AS trades,
    sum(taker_buy_volume) AS taker_buy_volume, sum(taker_buy_quote_volume) AS taker_buy_quote_volume,
    sum(minutes) AS minutes, sum(not_complete) AS not_complete
FROM candles_1h GROUP BY 1, 2, 3 WITH NO DATA;

SELECT add_continuous_aggregate_policy('candles_5m', start_offset => NULL, end_offset => interval '5 minutes', schedule_interval => interval '5 minutes');
SELECT add_continuous_aggregate_policy('candles_1h', start_offset => NULL, end_offset => interval '1 hour', schedule_interval => interval '30 minutes');
SELECT add_continuous_aggregate_policy('candles_1d', start_offset => NULL, end_offset => interval '1 day', schedule_interval => interval '6 hours');
