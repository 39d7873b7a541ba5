"""The stages of a run, by name. Pure."""

SIMULATOR, PRODUCER, API = "simulate", "produce", "serve"
"""With several exchanges the producers are ``produce.binance`` and so on."""
PROCESSORS = ("candles", "rolling")
BARS, SIGNALS = "bars", "signals"
"""Processors that are there only where they are asked for."""
PARQUET_SINK, POSTGRES_SINK = "sink.parquet", "sink.postgres"
SINKS = ("sink.redis", "sink.clickhouse", PARQUET_SINK)
"""Of every run; that of PostgreSQL is there only where it is asked for."""
CONSUMERS = (*PROCESSORS, *SINKS)
STAGES = (PRODUCER, *CONSUMERS, API)


def is_producer(stage: str) -> bool:
    """Whether a stage is a producer, of whichever exchange."""
    return stage.partition(".")[0] == PRODUCER
