"""The stages of a run, by name. Pure."""

SIMULATOR, PRODUCER, API = "simulate", "produce", "serve"
PROCESSORS = ("candles", "rolling")
SINKS = ("sink.redis", "sink.clickhouse", "sink.parquet")
CONSUMERS = (*PROCESSORS, *SINKS)
STAGES = (PRODUCER, *CONSUMERS, API)
