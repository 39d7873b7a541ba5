"""Logs, metrics for Prometheus, and the progress line by which a stage says how it does.

Logs are sentences on a terminal and JSON lines elsewhere. Their fields: `event` (a sentence or name), `level`,
`timestamp` (UTC, ISO 8601), `stage` (``candles``, ``sink.redis``…), then what the event is about, units in names.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, ClassVar

import orjson
import structlog
from prometheus_client import REGISTRY, Info, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from rich.console import Console
from structlog.dev import ConsoleRenderer, plain_traceback

from runtime.errors import UsageError
from runtime.figures import FIGURES, FigureName, in_metric_units, metric_name
from runtime.settings import Settings, variable

PROGRESS_EVENT = "progress"
"""`event` of the progress line: `records_per_s`, and the stage's figures (`runtime.figures`)."""
VERSION = version("candlewick")

Info("candlewick_build", "What is running").info({"version": VERSION})


def configure_logs(settings: Settings) -> None:
    """Write logs to standard error, the libraries' warnings among them; serve metrics where a port is set.

    A `UsageError` says that the port of the metrics cannot be used.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = _for_people() if sys.stderr.isatty() else _for_machines()
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    Meter.progress_s = settings.progress_s
    if settings.metrics_port:
        _serve_metrics(settings.metrics_port)


def _for_people() -> list[Any]:
    is_plain = Console(stderr=True).no_color
    return [ConsoleRenderer(colors=not is_plain, sort_keys=False, exception_formatter=plain_traceback)]


def _for_machines() -> list[Any]:
    def as_json(entry: Any, **_: Any) -> str:
        return orjson.dumps(entry, default=str).decode()

    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=as_json)]


def _serve_metrics(port: int) -> None:
    try:
        start_http_server(port)
    except OSError as error:
        raise UsageError(
            f"cannot serve metrics on port {port} ({error.strerror}): set {variable('metrics_port')} to a free port, "
            "one for each process, or to 0 for none"
        ) from error


def logger(stage: str) -> Any:
    """The log of one stage; it may be asked for before logs are configured."""
    return structlog.get_logger(stage=stage)


class Meter:
    """What a stage counts. `fields` are its own figures, beside records read, unread, and the newest one's age."""

    progress_s: ClassVar[float] = Settings.model_fields["progress_s"].default
    """Seconds between two progress lines."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.records = 0
        self.unread: int | None = None
        """Records of the input that were not read yet; None where its end is not known."""
        self.newest_ms: int | None = None
        self.fields: dict[FigureName, Any] = {}
        _METRICS.meters[stage] = self

    def count(self, records: int, *, newest_ms: int | None = None) -> None:
        """Count records that are done with; `newest_ms` is the log clock of the newest of them."""
        self.records += records
        if newest_ms is not None:
            self.newest_ms = max(newest_ms, self.newest_ms or 0)

    def set_unread(self, partitions: Iterable[tuple[int | None, int]]) -> None:
        """Note how far reading is: of each partition its end, None where it is not known, and the position."""
        behind = [None if end is None else max(0, end - position) for end, position in partitions]
        self.unread = None if None in behind else sum(records for records in behind if records is not None)

    def add(self, figure: FigureName, amount: int = 1) -> None:
        """Raise one of the stage's own figures."""
        self.fields[figure] = self.fields.get(figure, 0) + amount

    def figures(self) -> dict[FigureName, Any]:
        """All figures at this moment; None where nothing is known yet."""
        age_ms = None if self.newest_ms is None else max(0, int(time.time() * 1000) - self.newest_ms)
        return {"records": self.records, "unread": self.unread, "newest_age_ms": age_ms, **self.fields}

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Log a progress line now and then for as long as the block runs, and once at its end."""
        task = asyncio.create_task(self._report())
        try:
            yield
        finally:
            task.cancel()
            self._log(0.0)

    async def _report(self) -> None:
        records_before, before_s = self.records, time.monotonic()
        while True:
            await asyncio.sleep(self.progress_s)
            now_s = time.monotonic()
            self._log((self.records - records_before) / (now_s - before_s))
            records_before, before_s = self.records, now_s

    def _log(self, records_per_s: float) -> None:
        logger(self.stage).info(PROGRESS_EVENT, records_per_s=round(records_per_s, 1), **self.figures())


class _Metrics(Collector):
    """The figures of this process's meters, as they are when Prometheus asks."""

    def __init__(self) -> None:
        self.meters: dict[str, Meter] = {}
        """By stage."""

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        figures = {stage: meter.figures() for stage, meter in self.meters.items()}
        for name, figure in FIGURES.items():
            values = {stage: own[name] for stage, own in figures.items() if own.get(name) is not None}
            if values:
                family = CounterMetricFamily if figure.is_counter else GaugeMetricFamily
                metric = family(metric_name(name), figure.meaning, labels=["stage"])
                for stage, value in values.items():
                    metric.add_metric([stage], in_metric_units(name, value))
                yield metric


_METRICS = _Metrics()
REGISTRY.register(_METRICS)
