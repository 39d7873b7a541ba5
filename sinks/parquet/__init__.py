"""The cold store: every trade and 1m candle record of the log, in Parquet files behind any object store's URL."""
