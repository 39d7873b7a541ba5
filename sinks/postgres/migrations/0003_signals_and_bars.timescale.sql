SELECT create_hypertable('signals', 'time', chunk_time_interval => interval '30 days', create_default_indexes => false);
