"""The bar engine, as the shell runs it: its core, its topics, what becomes of its outputs."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from market.codec import GROUP_HEADER, RUN_HEADER, encode_bar
from market.records import BareRecord
from market.topics import Topics
from processors.bars.config import BarsConfig
from processors.bars.core import BarCore, BarOutputs
from processors.engine.engine import EngineTopics
from processors.engine.state import StoredState, checkpointed, restoring, state_value
from processors.engine.worker import run_engine
from runtime.kafka import Outgoing, TopicPartition, dead_letter
from runtime.settings import Settings
from runtime.telemetry import logger


async def run_bars(settings: Settings, config: BarsConfig, stop: asyncio.Event) -> None:
    """Make bars until `stop` (or, with ``once``, to the log's end as it stands); the errors are `run_engine`'s."""
    await run_engine(settings, BarEngine(settings, config), stop)


class BarEngine:
    """`md.trades.v1` in, `md.bars.v1` out."""

    name = "bars"

    def __init__(self, settings: Settings, config: BarsConfig) -> None:
        self.config = config
        self.revision_base = config.rules.revision_base
        self._names = settings.topics
        self._log = logger(self.name)

    def topics(self, topics: Topics) -> EngineTopics:
        """What it reads and writes."""
        own = {topics.trades, topics.bars, topics.bars_state, topics.dead_letters(topics.trades)}
        return EngineTopics(names=topics, state=topics.bars_state, output=topics.bars, needed=frozenset(own))

    def outputs(self) -> BarOutputs:
        """No outputs yet."""
        return BarOutputs()

    def begin(self, *, partition: int, partitions: int, position: int, awaits_floor: bool) -> BarCore:
        """A core that knows nothing."""
        return BarCore(
            partition=partition,
            partitions=partitions,
            position=position,
            rules=self.config.rules,
            thresholds=self.config.thresholds,
            awaits_floor=awaits_floor,
        )

    def restore(self, stored: StoredState, *, partition: int, partitions: int, resumes_at: int) -> BarCore:
        """The core of the last checkpoint; other thresholds than its own count from `resumes_at` on, and are told."""
        core = self.begin(partition=partition, partitions=partitions, position=stored.position or 0, awaits_floor=False)
        with restoring(partition):
            core.floor_us = stored.floor_us
            core.restore(stored.values, self.config.thresholds, resumes_at)
        if core.adoption is not None:
            self._log.warning(
                "other thresholds: bars of those that are new begin with number 1",
                partition=partition,
                before=str(core.thresholds),
                now=str(self.config.thresholds),
            )
        return core

    def needs_checkpoint(self, core: BarCore) -> bool:
        """After a change of thresholds: only the state knows from which record on they count."""
        return core.has_new_thresholds

    def process(self, core: BarCore, records: Sequence[BareRecord]) -> BarOutputs:
        """What the records lead to."""
        return core.process(records)

    def checkpoint(self, core: BarCore, topic_id: str | None) -> list[Outgoing]:
        """The records that bring the stored state up to the core."""
        partition = core.partition
        position = checkpointed(
            position=core.position,
            partition=partition,
            floor_us=core.floor_us,
            topic_id=topic_id,
            revision_base=self.revision_base,
        )
        changed = (
            Outgoing(key, None if value is None else state_value(value), (), partition) for key, value in core.changes()
        )
        return [position, *changed]

    def records(self, outputs: BarOutputs, tp: TopicPartition) -> dict[str, list[Outgoing]]:
        """Bars, a run's with its header, and dead letters, which say that it was this group that refused them."""
        group = ((GROUP_HEADER, self._names.group(self.name).encode()),)
        return {
            self._names.dead_letters(tp.topic): [dead_letter(tp, *refused, group) for refused in outputs.dead],
            self._names.bars: list(_bars(outputs, tp.partition)),
        }

    def end(self, partition: int, log_end: int) -> int:  # noqa: ARG002
        """The log's end when the partition was taken over."""
        return log_end

    def is_final(self, core: BarCore) -> bool:  # noqa: ARG002
        """Never: the log goes on."""
        return False

    def beside(self, settings: Settings) -> AbstractAsyncContextManager[Callable[[Iterable[Any]], None]]:  # noqa: ARG002
        """Nothing: open bars are not shown."""
        return nullcontext(lambda _: None)


def _bars(outputs: BarOutputs, partition: int) -> Iterator[Outgoing]:
    for bar, run in outputs.bars:
        headers = () if run is None else ((RUN_HEADER, run.encode()),)
        yield Outgoing(bar.key.encode(), encode_bar(bar), headers, partition)
