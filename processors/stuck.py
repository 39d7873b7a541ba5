"""Reading that stands still although the broker answers and has more: the process ends, to be started again."""

import asyncio
import time
from collections.abc import Collection

from runtime.errors import CandlewickError
from runtime.kafka import Subscription, TopicPartition
from runtime.stall import StallWatch, Stand

LOOK_S = 1.0
PROMPT_S = 5.0
"""A broker that answers later than this counts as away."""


class StuckError(CandlewickError):
    """Reading a partition does not go on, although the broker answers and has more records."""


class StuckReaders:
    """The partitions that one membership reads, looked at once in `LOOK_S`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._watch = StallWatch(limit_s)
        self._looked_at_s = 0.0

    def clear(self) -> None:
        """Begin anew: the assignment or the positions have changed."""
        self._watch.clear()

    async def look(self, subscription: Subscription, reading: Collection[TopicPartition]) -> None:
        """`StuckError` for a reader that is stuck: it can't mend itself. `reading` are the partitions polled now."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_S:
            return
        self._looked_at_s = now_s
        self._watch.keep(reading)
        for tp in reading:
            position = await subscription.position(tp)
            lag = (subscription.highwater(tp) or 0) - position
            stand = self._watch.look(tp, position, lag, now_s)
            if stand is Stand.FINE:
                continue
            if not await _answers(subscription, tp):
                self.clear()  # without a broker nobody reads
                return
            if stand is Stand.STUCK:
                raise StuckError(
                    f"{tp.topic}/{tp.partition} has stood at offset {position} for {self._limit_s:g} s or more with "
                    f"{lag} records unread; the process ends, to be started again. If that does not help, look for a "
                    "producer that left a transaction open (kafka-transactions.sh --describe-producers)"
                )


async def _answers(subscription: Subscription, tp: TopicPartition) -> bool:
    """Whether the broker that leads the partition answers in time; `UnavailableError` where it can't be reached."""
    try:
        async with asyncio.timeout(PROMPT_S):
            await subscription.end(tp)
    except TimeoutError:
        return False
    return True
