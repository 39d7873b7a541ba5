"""Candlewick's engine as ``candlewick candles`` runs it, which says when it has what: a line of JSON for each event.

``candlewick_worker.py [INSTANCE_ID]``; events are ``taken`` (a partition was restored), ``first`` (a record was
processed) and ``caught_up`` (all that was in the log when it was taken), each with
``at_s`` of the system's clock, and ``ended`` with its peak memory.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from market.records import BareRecord
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from processors.engine.assigned_partition import AssignedPartition
from runtime.lifecycle import run
from runtime.settings import load_settings
from runtime.telemetry import configure_logs


def tell(event: str, **more: Any) -> None:
    """One line."""
    print(json.dumps({"event": event, "at_s": time.time(), **more}), flush=True)


def main(instance_id: str | None) -> None:
    """Until a signal ends it."""
    behind: dict[int, AssignedPartition] = {}
    first = True
    take_over, process = AssignedPartition.take_over, AssignedPartition.process

    def look(assigned: AssignedPartition) -> None:
        if assigned.tp.partition in behind and assigned.core.position >= assigned.end:
            del behind[assigned.tp.partition]
            tell("caught_up", partition=assigned.tp.partition, position=assigned.core.position)

    async def noted(assigned: AssignedPartition) -> AssignedPartition:
        await take_over(assigned)
        behind[assigned.tp.partition] = assigned
        tell("taken", partition=assigned.tp.partition)
        look(assigned)
        return assigned

    def looked_at(assigned: AssignedPartition, records: Sequence[BareRecord]) -> None:
        nonlocal first
        process(assigned, records)
        if first:
            first = False
            tell("first")
        look(assigned)

    AssignedPartition.take_over = noted  # type: ignore[method-assign]  # the engine has no place for a stop-watch
    AssignedPartition.process = looked_at  # type: ignore[method-assign]
    settings = load_settings()
    configure_logs(settings)
    run(lambda stop: run_candles(settings, CandlesConfig(from_start=True, instance_id=instance_id), stop))
    tell("ended", peak_mb=_peak_mb())


def _peak_mb() -> float:
    """This program's own; what `getrusage` tells may be its starter's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmHWM")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
