"""The 1m topic. Others can make it anew or hold it back: both are reported, so neither looks like a quiet topic."""

import time

from runtime.errors import CandlewickError
from runtime.kafka import HELD_BACK_S, HeldBackError, OffsetMetadata, ends, open_transactions
from runtime.kafka.admin import committed_offsets, topic_ids
from runtime.settings import Settings
from runtime.stall import StallWatch, Stand
from runtime.telemetry import logger

LOOK_INTERVAL_S = 20.0
"""How often to check that the topic was not made anew."""

log = logger("rolling")


class CandleSource:
    """The topic that one membership reads."""

    def __init__(self, settings: Settings, topic_id: str | None, *, once: bool, group: str = "rolling") -> None:
        self.metadata = OffsetMetadata(topic_id=topic_id)
        """What is committed with its offsets."""
        self._settings = settings
        self._topic = settings.topics.candles()
        self._once = once
        self._again = _again(group)
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
            log.warning(missing)
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
            log.warning("waiting for another program's transaction", reason=str(transaction))


async def checked_source(
    settings: Settings, *, once: bool, accept_truncation: bool, group: str = "rolling"
) -> CandleSource:
    """The topic as it is now, for the processor whose group is called so.

    Raises `CandlewickError` if the group's offset is of an earlier topic of that name, or (without `accept_truncation`)
    if candles after it were deleted.
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
        if offset < first and not accept_truncation:
            raise CandlewickError(
                f"{topic}/{partition}: offset {offset} of {full_name} is no longer in the log, it begins at {first}: "
                "say --accept-truncation to go on from there; windows that hold deleted candles will not come out"
            )
    return CandleSource(settings, topic_id, once=once, group=group)


def _again(group: str) -> str:
    return f"candlewick replay {group} --to earliest --execute (or start with --from-start)"
