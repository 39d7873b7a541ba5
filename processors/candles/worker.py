"""The candle engine, as the shell runs it: its core, its topics, what becomes of its outputs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

from market.codec import RUN_HEADER, encode_candle
from market.records import BareRecord
from market.topics import Topics
from processors.candles.config import CandlesConfig
from processors.candles.core import Core, Outputs
from processors.candles.live import CandlePartition, LiveCandles
from processors.candles.state import changes, core_of, mark_clean
from processors.engine.engine import EngineTopics
from processors.engine.state import StoredState
from processors.engine.worker import run_engine
from runtime.kafka import Outgoing, TopicPartition, dead_letter
from runtime.settings import Settings


async def run_candles(settings: Settings, config: CandlesConfig, stop: asyncio.Event) -> None:
    """Make candles until `stop` (or, with ``once``, to the log's end as it stands); the errors are `run_engine`'s."""
    await run_engine(settings, CandleEngine(settings, config), stop)


class CandleEngine:
    """`md.trades.v1` in, `md.candles.1m.v1` out, or the topics of a recomputation."""

    name = "candles"

    def __init__(self, settings: Settings, config: CandlesConfig) -> None:
        self.config = config
        self.revision_base = config.rules.revision_base
        self._names = self.topics(settings.topics).names

    def topics(self, topics: Topics) -> EngineTopics:
        """What it reads and writes."""
        names = topics if self.config.range is None else self.config.range.topics(topics)
        own = {names.trades, names.candles(), names.late, names.state, names.live, names.dead_letters(names.trades)}
        return EngineTopics(names=names, state=names.state, output=names.candles(), needed=frozenset(own))

    def outputs(self) -> Outputs:
        """No outputs yet."""
        return Outputs()

    def begin(self, *, partition: int, partitions: int, position: int, awaits_floor: bool) -> Core:
        """A core that knows nothing."""
        return Core(
            partition=partition,
            partitions=partitions,
            position=position,
            rules=self.config.rules,
            awaits_floor=awaits_floor,
        )

    def restore(self, stored: StoredState, *, partition: int, partitions: int, resumes_at: int) -> Core:  # noqa: ARG002
        """The core of the last checkpoint; its rules are the same for the life of a state, wherever it goes on."""
        return core_of(stored, partition=partition, partitions=partitions, rules=self.config.rules)

    def needs_checkpoint(self, core: Core) -> bool:  # noqa: ARG002
        """Never: what a core does depends on the log alone."""
        return False

    def process(self, core: Core, records: Sequence[BareRecord]) -> Outputs:
        """What the records lead to; of a recomputation only the candles of its range."""
        outputs = core.process(records)
        if self.config.range is not None:
            outputs.candles = self.config.range.keep(outputs.candles)
        return outputs

    def checkpoint(self, core: Core, topic_id: str | None) -> list[Outgoing]:
        """The records that bring the stored state up to the core."""
        records = list(changes(core, topic_id))
        mark_clean(core)
        return records

    def records(self, outputs: Outputs, tp: TopicPartition) -> dict[str, list[Outgoing]]:
        """Late trades as they were read, dead letters, and candles, a run's with its header."""
        return {
            self._names.late: [
                Outgoing(record.key or b"", record.value, record.headers, tp.partition) for record in outputs.late
            ],
            self._names.dead_letters(tp.topic): [dead_letter(tp, *refused) for refused in outputs.dead],
            self._names.candles(): list(_candles(outputs, tp.partition)),
        }

    def end(self, partition: int, log_end: int) -> int:
        """The log's end when the partition was taken over, or when its range was planned."""
        return log_end if self.config.range is None else self.config.range.pieces[partition].end

    def is_final(self, core: Core) -> bool:
        """Whether the range that is recomputed can't change any more; False without a range."""
        return self.config.range is not None and self.config.range.is_final(core)

    @asynccontextmanager
    async def beside(self, settings: Settings) -> AsyncIterator[Callable[[Iterable[CandlePartition]], None]]:
        """Live candles go out beside the transactions."""
        async with LiveCandles(settings) as live:
            yield live.show


def _candles(outputs: Outputs, partition: int) -> Iterator[Outgoing]:
    for candle, run in outputs.candles:
        headers = () if run is None else ((RUN_HEADER, run.encode()),)
        yield Outgoing(candle.key.encode(), encode_candle(candle), headers, partition)
