"""Live candles: open minutes that changed, published outside of the transactions, each at most once a second."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from market.codec import encode_candle
from processors.candles.core import Core, Outputs
from processors.engine.assigned_partition import AssignedPartition
from runtime.kafka import Outgoing, Publisher, TopicPartition
from runtime.settings import Settings

INTERVAL_S = 1.0
CAUGHT_UP_MS = 5_000
"""Live candles are published only while the newest record is younger than this: never while catching up."""

CandlePartition = AssignedPartition[Core, Outputs]


class LiveCandles:
    """Publishes live candles, one partition at a time, so that no closed candle waits for all partitions."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.live
        self._partitions = settings.topics.partitions
        self._publisher = Publisher(settings)
        self._sending: asyncio.Task[None] | None = None
        self._shown_at_s: dict[TopicPartition, float] = {}

    async def __aenter__(self) -> Self:
        await self._publisher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sending is not None:
            self._sending.cancel()  # nobody relies on them: the next start publishes newer ones
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._publisher.__aexit__(kind, error, trace)

    def show(self, partitions: Iterable[CandlePartition]) -> None:
        """Publish the changed candles of one partition whose turn it is; nothing while earlier ones are on their way.

        `UnavailableError` if the earlier ones could not be published.
        """
        if self._sending is not None:
            if not self._sending.done():
                return
            self._sending.result()
        now_s = time.monotonic()
        for assigned in partitions:
            if now_s - self._shown_at_s.get(assigned.tp, 0.0) >= INTERVAL_S:
                self._shown_at_s[assigned.tp] = now_s
                if records := list(_open_candles(assigned)):
                    self._sending = asyncio.create_task(self._send(records))
                    return

    async def _send(self, records: list[Outgoing]) -> None:
        await self._publisher.await_acknowledgements(
            await self._publisher.send_batches(self._topic, records, self._partitions)
        )


def _open_candles(assigned: CandlePartition) -> Iterator[Outgoing]:
    if time.time_ns() // 1_000_000 - assigned.newest_ms > CAUGHT_UP_MS:
        return
    for series in assigned.core.series.values():
        candle = series.open_candle()
        if candle is not None:
            yield Outgoing(candle.key.encode(), encode_candle(candle), partition=assigned.tp.partition)
