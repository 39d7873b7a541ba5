"""A sink, killed by SIGKILL as it comes to a step for the N-th time: ``killed_sink.py SINK STEP N MS``.

The steps are where a sink waits for Kafka or for its store, in their order. At a step that is *within* something, it
dies MS milliseconds after its begin. It reads batch by batch and writes little at a time, so that a life has many
steps.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

from kill_points import KillPoint, Moment, arm, kill_itself

from candlewick.cli import main
from sinks import runner
from sinks.dead_letters import DeadLetters
from sinks.partition import Partition
from sinks.store import Pace, PaceLimit

BEFORE, AFTER = Moment.BEFORE, Moment.AFTER
FILE_RECORDS = 60
"""Of every life of the Parquet sink."""
ONCE_A_LIFE = {
    "before joining": KillPoint(runner.Subscription, "__aenter__", BEFORE),
    "after joining": KillPoint(runner.Subscription, "__aenter__", AFTER),
    "before opening": KillPoint(runner.Patience, "until_done", BEFORE),
    "within opening": KillPoint(runner.Patience, "until_done", BEFORE),
    "after opening": KillPoint(runner.Patience, "until_done", AFTER),
    "before the group's offsets": KillPoint(runner.Subscription, "committed_offsets", BEFORE),
    "after assigning": KillPoint(runner, "assign", AFTER),
}
_LITTLE = PaceLimit(40, 1 << 20, 0.05)


def steps(sink: str) -> dict[str, KillPoint]:
    """By its name."""
    store, of_store = _STORES[sink]()
    return {
        **ONCE_A_LIFE,
        "after taking records in": KillPoint(Partition, "take", AFTER),
        "before dead letters": KillPoint(DeadLetters, "publish", BEFORE),
        "after dead letters": KillPoint(DeadLetters, "publish", AFTER),
        "before a write": KillPoint(store, "write", BEFORE),
        "within a write": KillPoint(store, "write", BEFORE),
        **of_store,
        "after a write": KillPoint(store, "write", AFTER),
        "before a commit": KillPoint(runner.Subscription, "commit", BEFORE),
        "within a commit": KillPoint(runner.Subscription, "commit", BEFORE),
        "after a commit": KillPoint(runner.Subscription, "commit", AFTER),
    }


def _redis() -> tuple[Any, dict[str, KillPoint]]:
    from sinks.redis import store  # noqa: PLC0415  # a life does not load the clients of the other stores

    return store.RedisStore, {
        "before a script": KillPoint(store.Script, "call", BEFORE),
        "between data and positions": KillPoint(store.HeldPositions, "move", BEFORE),
    }


def _clickhouse() -> tuple[Any, dict[str, KillPoint]]:
    from sinks.clickhouse.store import ClickHouseStore  # noqa: PLC0415

    return ClickHouseStore, {
        "before an insert": KillPoint(ClickHouseStore, "_insert", BEFORE),
        "after one of several inserts": KillPoint(ClickHouseStore, "_insert", AFTER),
    }


def _parquet() -> tuple[Any, dict[str, KillPoint]]:
    from sinks.parquet.store import ParquetStore  # noqa: PLC0415

    return ParquetStore, {
        "before a file": KillPoint(ParquetStore, "_put", BEFORE),
        "after one of several files": KillPoint(ParquetStore, "_put", AFTER),
    }


def _postgres() -> tuple[Any, dict[str, KillPoint]]:
    from asyncpg.connection import Connection  # noqa: PLC0415
    from asyncpg.transaction import Transaction  # noqa: PLC0415

    from sinks.postgres.store import PostgresStore  # noqa: PLC0415

    return PostgresStore, {
        "between copying and moving": KillPoint(Connection, "copy_to_table", AFTER),
        "before the transaction's end": KillPoint(Transaction, "__aexit__", BEFORE),
        "after the transaction's end": KillPoint(Transaction, "__aexit__", AFTER),
    }


_STORES: dict[str, Callable[[], tuple[Any, dict[str, KillPoint]]]] = {
    "redis": _redis, "clickhouse": _clickhouse, "parquet": _parquet, "postgres": _postgres,
}  # fmt: skip
SINKS = list(_STORES)


def run(sink: str, step: str, occurrence: int, after_ms: int) -> int:
    """Run the sink until it dies there."""
    runner.POLL_BATCHES, runner.COMMIT_INTERVAL_S = 1, 0.0
    store, _ = _STORES[sink]()
    if store.pace is not None:
        store.pace = Pace(_LITTLE, behind=_LITTLE)
    die = threading.Timer(after_ms / 1000, kill_itself).start if step.startswith("within") else kill_itself
    arm(steps(sink)[step], occurrence, die)
    more = ["--file-records", str(FILE_RECORDS)] if sink == "parquet" else []
    return main(["sink", sink, "--instance-id", "one", *more])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
