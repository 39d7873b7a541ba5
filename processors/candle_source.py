"""The 1m topic, and the life of a processor that reads it.

Others can make the topic anew or hold it back: both are reported, so neither looks like a quiet topic.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from processors.config import ProcessorConfig
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import HELD_BACK_S, HeldBackError, OffsetMetadata, Publisher, ends, move_group, open_transactions
from runtime.kafka.admin import committed_offsets, require_topics, topic_ids
from runtime.lifecycle import rejoining
from runtime.settings import Settings
from runtime.stall import StallWatch, Stand
from runtime.telemetry import Meter, logger

LOOK_INTERVAL_S = 20.0
"""How often to check that the topic was not made anew."""


class CandleSource:
    """The topic that one membership reads."""

    def __init__(self, settings: Settings, topic_id: str | None, *, once: bool, group: str) -> None:
        self.metadata = OffsetMetadata(topic_id=topic_id)
        """What is committed with its offsets."""
        self._settings = settings
        self._topic = settings.topics.candles()
        self._once = once
        self._again = _again(group)
        self._log = logger(group)
        self._stalls = StallWatch(HELD_BACK_S)
        self._looked_at_s = time.monotonic()

    async def look(self, *, now: bool = False) -> None:
        """Check, when it is time or `now`, that the topic is still the one of the start.

        Raises `CandlewickError` if it was made anew, and with ``--once`` also if it is missing; without ``--once`` this
        waits for a missing topic.
        """
        if not now and time.monotonic() - self._looked_at_s < LOOK_INTERVAL_S:
            return
        self._looked_at_s = time.monotonic()
        ids = await topic_ids(self._settings, [self._topic])
        if self._topic not in ids:
            missing = f"the topic {self._topic} is missing: run candlewick topics apply"
            if self._once:
                raise CandlewickError(missing)
            self._log.warning(missing)
        elif self.metadata.is_of_another_topic(ids[self._topic]):
            raise CandlewickError(
                f"{self._topic} was made anew while it was read (id {self.metadata.topic_id}, now "
                f"{ids[self._topic]}): candles of the two must not be mixed; read the new one from its beginning "
                f"with: {self._again}"
            )

    async def name_who_holds_back(self, partition: int, position: int, behind: int) -> None:
        """If reading has not advanced for long, name the open transactions. Raises `HeldBackError` with ``--once``."""
        if self._stalls.look(partition, position, behind, time.monotonic()) is not Stand.STUCK:
            return
        self._stalls.clear()
        transactions = await open_transactions(self._settings, self._topic, [partition])
        if transactions and self._once:
            raise HeldBackError(transactions)
        for transaction in transactions:
            self._log.warning("waiting for another program's transaction", reason=str(transaction))


Work = Callable[[Meter, Publisher, CandleSource], Awaitable[None]]
"""One membership in the group, from joining to leaving."""


async def run_on_candles(
    settings: Settings, config: ProcessorConfig, stop: asyncio.Event, *, group: str, needs: AbstractSet[str], work: Work
) -> None:
    """Let a processor work until `stop`, or until it is done; it `needs` these topics beside the one of 1m candles.

    While a broker is away, it leaves the group and joins anew. Raises `CandlewickError` where a person has to act.
    """
    topic = settings.topics.candles()
    await require_topics(settings, {topic, *needs})
    if config.from_start:
        beginning = {partition: first for partition, (first, _) in (await ends(settings, topic)).items()}
        await move_group(settings, settings.topics.group(group), topic, beginning)
    meter = Meter(group)

    async def membership() -> None:
        source = await _checked_source(settings, config, group)
        async with Publisher(settings) as publisher:
            await work(meter, publisher, source)

    async with meter.reporting():
        await rejoining(membership, stop, stage=group, bearable=() if config.once else (UnavailableError,))


async def _checked_source(settings: Settings, config: ProcessorConfig, group: str) -> CandleSource:
    """The topic as it is now, for the processor whose group is called so.

    Raises `CandlewickError` if the group's offset is of an earlier topic of that name, or if candles after it were
    deleted and nobody said that this may be.
    """
    topic, full_name = settings.topics.candles(), settings.topics.group(group)
    topic_id = (await topic_ids(settings, [topic])).get(topic)
    committed = await committed_offsets(settings, full_name)
    for partition, (first, end) in (await ends(settings, topic)).items():
        if (topic, partition) not in committed:
            continue
        offset, metadata = committed[topic, partition]
        if metadata.is_of_another_topic(topic_id) or offset > end:
            was = f"id {metadata.topic_id}, now {topic_id}" if metadata.is_of_another_topic(topic_id) else f"end {end}"
            raise CandlewickError(
                f"{topic}/{partition}: the offset {offset} of {full_name} is of an earlier topic: the topic was made "
                f"anew ({was}), and reading on from there would skip its candles; read it from its beginning with: "
                f"{_again(group)}"
            )
        if offset < first and not config.accept_truncation:
            raise CandlewickError(
                f"{topic}/{partition}: offset {offset} of {full_name} is no longer in the log, it begins at {first}: "
                "say --accept-truncation to go on from there; windows that hold deleted candles will not come out"
            )
    return CandleSource(settings, topic_id, once=config.once, group=group)


def _again(group: str) -> str:
    return f"candlewick replay {group} --to earliest --execute (or start with --from-start)"
