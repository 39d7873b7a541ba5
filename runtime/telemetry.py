"""Logs as JSON lines, metrics for Prometheus, and the progress line by which a stage says how it does.

Log fields: `event` (a sentence or name), `level`, `timestamp` (UTC, ISO 8601), `stage` (``candles``, ``sink.redis``…),
then what the event is about, units in names. Metrics: ``candlewick_<what>_<unit>`` labelled by stage.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog
from prometheus_client import Counter, Gauge, start_http_server

from runtime.settings import Settings

PROGRESS_EVENT = "progress"
"""`event` of the line that every stage logs each second: records, records_per_s, lag, newest_age_ms, and its own."""
PROGRESS_INTERVAL_S = 1.0

_records = Counter("candlewick_records", "Records handled", ["stage"])
_lag = Gauge("candlewick_lag_records", "Records in the log not handled yet", ["stage"])
_newest_age = Gauge("candlewick_newest_age_seconds", "Age of the newest record handled, by the log clock", ["stage"])


def configure_logs(settings: Settings) -> None:
    """JSON lines on standard error, the libraries' own warnings among them; metrics where a port is set."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer(serializer=lambda entry, **_: orjson.dumps(entry, default=str).decode())
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    if settings.metrics_port:
        start_http_server(settings.metrics_port)


def logger(stage: str) -> Any:
    """The log of one stage; it may be asked for before logs are configured."""
    return structlog.get_logger(stage=stage)


class Meter:
    """What a stage counts. `fields` are its own figures for the progress line (rows, gaps, revisions…)."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.records = 0
        self.lag: int | None = None
        self.newest_ms: int | None = None
        self.fields: dict[str, Any] = {}

    def count(self, records: int, *, newest_ms: int | None = None) -> None:
        """Records done with, and the log clock of the newest of them."""
        self.records += records
        if newest_ms is not None:
            self.newest_ms = max(newest_ms, self.newest_ms or 0)
        _records.labels(self.stage).inc(records)

    def add(self, field: str, amount: int = 1) -> None:
        """Raise one of the stage's own figures."""
        self.fields[field] = self.fields.get(field, 0) + amount

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Log a progress line each second for as long as the block runs, and once at its end."""
        task = asyncio.create_task(self._report())
        try:
            yield
        finally:
            task.cancel()
            self._log(0.0)

    async def _report(self) -> None:
        before, at = self.records, time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
            now = time.monotonic()
            self._log((self.records - before) / (now - at))
            before, at = self.records, now

    def _log(self, records_per_s: float) -> None:
        age_ms = None if self.newest_ms is None else max(0, int(time.time() * 1000) - self.newest_ms)
        if self.lag is not None:
            _lag.labels(self.stage).set(self.lag)
        if age_ms is not None:
            _newest_age.labels(self.stage).set(age_ms / 1000)
        logger(self.stage).info(
            PROGRESS_EVENT,
            records=self.records,
            records_per_s=round(records_per_s, 1),
            lag=self.lag,
            newest_age_ms=age_ms,
            **self.fields,
        )
