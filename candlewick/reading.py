"""Long reads for a report: how far they are is shown on a terminal, and logged elsewhere."""

import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from market.records import Record
from runtime.kafka import ends, read_to_end
from runtime.settings import Settings
from runtime.telemetry import PROGRESS_EVENT, logger

Watch = Callable[[str, int, int], None]
"""Is told what is read, how much of it is read, and how much there is."""


@contextmanager
def watching(command: str, settings: Settings) -> Iterator[Watch]:
    """Bars on a terminal, which vanish at the end; elsewhere a log line once in `progress_s`."""
    if not sys.stderr.isatty():
        yield _logging(command, settings.progress_s)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                for bar in bars.values():  # only what is being read has a bar
                    progress.remove_task(bar)
                bars.clear()
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        yield show


def _logging(command: str, every_s: float) -> Watch:
    next_s = time.monotonic() + every_s

    def log(what: str, done: int, total: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + every_s
            logger(command).info(PROGRESS_EVENT, reading=what, done=done, total=total)

    return log


async def read_watched(
    settings: Settings,
    topic: str,
    watch: Watch,
    *,
    partitions: Collection[int] | None = None,
    start: Mapping[int, int] | None = None,
) -> AsyncIterator[list[Record]]:
    """The committed records of `topic`, as `read_to_end` gives them; `watch` is told how many are read."""
    bounds = await ends(settings, topic, partitions)
    begin = {partition: max(bound.first, (start or {}).get(partition, 0)) for partition, bound in bounds.items()}
    total = sum(max(0, bound.next - begin[partition]) for partition, bound in bounds.items())
    position = dict(begin)
    async for records in read_to_end(settings, topic, partitions=partitions, start=start):
        if records:
            position[records[-1].partition] = records[-1].offset + 1
            yield records
            watch(topic, min(total, sum(position.values()) - sum(begin.values())), total)
