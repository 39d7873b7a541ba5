"""The cold store: every record that is kept, in Parquet files behind any object store's URL."""
