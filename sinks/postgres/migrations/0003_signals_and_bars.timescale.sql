SELECT create_hypertable('signals', 'time', chunk_time_interval => interval '30 days', create_default_indexes => false);
SELECT create_hypertable('bars', 'close_time', chunk_time_interval => interval '7 days', create_default_indexes => false);

ALTER TABLE bars SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol, kind, threshold, run', timescaledb.compress_orderby = 'series_begin, number, close_time');
SELECT add_compression_policy('bars', interval '7 days');
