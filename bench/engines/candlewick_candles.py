"""Candlewick's own engine, as ``candlewick candles --once --from-start`` runs it, and the line of figures.

``candlewick_candles.py KAFKA INPUT OUTPUT TRADES RECORDS``; topics and settings come by `CANDLEWICK_*`.
"""

import sys
from collections.abc import Sequence

from result import Result

from market.records import BareRecord
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from processors.engine.assigned_partition import AssignedPartition
from runtime.lifecycle import run
from runtime.settings import load_settings
from runtime.telemetry import configure_logs


def main(trades: int, records: int) -> None:
    """Time begins where the first partition is taken over: nothing was fetched before."""
    result = Result(trades)
    take_over, process = AssignedPartition.take_over, AssignedPartition.process

    async def timed(assigned: AssignedPartition) -> AssignedPartition:
        result.begin()
        return await take_over(assigned)

    def counted(assigned: AssignedPartition, records: Sequence[BareRecord]) -> None:
        result.count(len(records))
        process(assigned, records)

    # The engine has no place for a stop-watch.
    AssignedPartition.take_over, AssignedPartition.process = timed, counted  # type: ignore[method-assign]
    settings = load_settings()
    configure_logs(settings)
    run(lambda stop: run_candles(settings, CandlesConfig(once=True, from_start=True), stop))
    result.tell(markers=records - trades)


if __name__ == "__main__":
    main(int(sys.argv[4]), int(sys.argv[5]))
