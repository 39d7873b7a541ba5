"""A sink of ours, as ``candlewick sink NAME --once`` runs it, and the line of figures.

``candlewick_sink.py NAME TRADES``; topics and stores come by `CANDLEWICK_*`.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from result import Result

from market.records import BareRecord
from runtime.kafka import TopicPartition
from runtime.lifecycle import run
from runtime.settings import Settings, load_settings
from runtime.telemetry import configure_logs
from sinks.encoded import Encoded
from sinks.runner import SinkConfig, run_sink


def _parquet() -> Callable[[Settings], Any]:
    from sinks.parquet.store import ParquetStore  # noqa: PLC0415  # a sink does not load the clients of the others

    return ParquetStore


def _clickhouse() -> Callable[[Settings], Any]:
    from sinks.clickhouse.store import ClickHouseStore  # noqa: PLC0415

    return ClickHouseStore


def _redis() -> Callable[[Settings], Any]:
    from sinks.redis.store import RedisStore  # noqa: PLC0415

    return RedisStore


def _postgres() -> Callable[[Settings], Any]:
    from sinks.postgres.store import PostgresStore  # noqa: PLC0415

    return PostgresStore


STORES = {"parquet": _parquet, "clickhouse": _clickhouse, "redis": _redis, "postgres": _postgres}


class TimedStore:
    """A store with a stop-watch: time begins before the first record is asked for."""

    def __init__(self, store: Any, result: Result) -> None:
        self._store = store
        self._result = result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def positions(self, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]) -> Any:
        """As the store."""
        self._result.begin()
        return await self._store.positions(tps, topic_ids)

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As the store; what is encoded is counted."""
        encoded: Encoded = self._store.encode(tp, records)
        self._result.count(len(records))
        return encoded


def main(name: str, trades: int) -> None:
    """One pass over the log."""
    result, settings = Result(trades), load_settings()
    configure_logs(settings)
    store = TimedStore(STORES[name]()(settings), result)
    run(lambda stop: run_sink(settings, store, SinkConfig(once=True), stop))
    result.tell()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
