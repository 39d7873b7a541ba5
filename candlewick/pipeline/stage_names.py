"""The stages of a run, by name. Pure."""

SIMULATOR, PRODUCER, API = "simulate", "produce", "serve"
"""With several exchanges the producers are ``produce.binance`` and so on."""
PROCESSORS = ("candles", "rolling")
SINKS = ("sink.redis", "sink.clickhouse", "sink.parquet")
CONSUMERS = (*PROCESSORS, *SINKS)
STAGES = (PRODUCER, *CONSUMERS, API)


def is_producer(stage: str) -> bool:
    """Whether a stage is a producer, of whichever exchange."""
    return stage.partition(".")[0] == PRODUCER
