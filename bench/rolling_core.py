"""The rolling processor's core alone, without Kafka: microseconds of CPU a candle, of each way records come in.

``rolling_core.py [--symbols 25,250] [--minutes 240] [--batch 1000,2000]``
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from bench_rolling import Walk

from market.records import BareRecord
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from processors.rolling.core import Rolling
from processors.rolling.restore import RollingStart, restore

BEGIN_MS = 1_700_000_000_000 // DAY_MS * DAY_MS


class LogRecord(NamedTuple):
    """A record of the 1m or the live topic."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class MemoryTopics:
    """One partition of the candle topics: minutes alone."""

    topic_id = None

    def __init__(self, records: Sequence[BareRecord], batch: int) -> None:
        self._records = records
        self._batch = batch

    async def starts(self, timeframe: Timeframe, since_ms: Mapping[int, int]) -> dict[int, RollingStart]:  # noqa: ARG002
        """All of the log."""
        return {0: RollingStart(0, 0)}

    async def read(
        self, timeframe: Timeframe, start: Mapping[int, int], stop: Mapping[int, int] | None = None
    ) -> AsyncIterator[tuple[int, list[BareRecord]]]:
        """The records, in batches."""
        end = len(self._records) if stop is None else min(stop[0], len(self._records))
        for begin in range(start[0], end if timeframe is Timeframe.M1 else 0, self._batch):
            yield 0, list(self._records[begin : min(begin + self._batch, end)])


def log_of(symbols: int, minutes: int) -> tuple[list[LogRecord], list[LogRecord]]:
    """Closed minutes of all symbols, and then an open one of each."""
    walks = [Walk(number) for number in range(symbols)]
    closed: list[LogRecord] = []
    for number in range(minutes):
        open_ms = BEGIN_MS + number * MINUTE_MS
        for walk in walks:
            closed.append(LogRecord(len(closed), open_ms + MINUTE_MS, walk.key, walk.candle(open_ms, len(closed))))
    open_ms = BEGIN_MS + minutes * MINUTE_MS
    live = [LogRecord(0, open_ms, walk.key, walk.candle(open_ms, 10**9, status=b"open")) for walk in walks]
    return closed, live


def measure(symbols: int, minutes: int, batch: int) -> None:
    """Print one row."""
    closed, live = log_of(symbols, minutes)
    core = Rolling(0, 1)
    began_s = time.process_time()
    for begin in range(0, len(closed), batch):
        core.take_all(closed[begin : begin + batch])
        core.release()
    core.flush()
    took_s = time.process_time() - began_s
    began_s = time.process_time()
    shown = core.refresh_all(live)
    refreshed_s = time.process_time() - began_s
    assert len(shown.outputs) == symbols
    began_s = time.process_time()
    asyncio.run(restore(MemoryTopics(closed, batch), 1, {0: len(closed)}, closed[-1].timestamp))
    restored_s = time.process_time() - began_s
    print(
        f"{symbols} symbols, batches of {batch}: backlog {1e6 * took_s / len(closed):.1f} us a candle, live "
        f"{1e6 * refreshed_s / symbols:.1f}, rebuild {1e6 * restored_s / len(closed):.1f}",
        flush=True,
    )


def main() -> None:
    """All combinations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", default="25,250")
    parser.add_argument("--minutes", type=int, default=240)
    parser.add_argument("--batch", default="1000,2000")
    arguments = parser.parse_args()
    for symbols in map(int, arguments.symbols.split(",")):
        for batch in map(int, arguments.batch.split(",")):
            measure(symbols, arguments.minutes, batch)


if __name__ == "__main__":
    main()
