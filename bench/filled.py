"""Stores filled by the sinks' own writers, without Kafka in between."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from runtime.kafka import Outgoing, TopicPartition
from sinks.store import Batch, Store

_BATCH = 20_000
_SLOT_MS = 15 * 60_000
"""A Parquet file holds what came within such a slot of the log clock."""


@dataclass(frozen=True)
class LoggedRecord:
    """A record as a sink sees it."""

    offset: int
    value: bytes
    key: bytes
    timestamp: int
    headers: Sequence[tuple[str, bytes]] = field(default=())


class FilledStore:
    """A store that takes records as if they came from the log; offsets go on from call to call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: dict[TopicPartition, int] = defaultdict(int)

    async def write(self, topic: str, records: Iterable[Outgoing], *, logged_ms: int) -> None:
        """Write them in batches, all appended at `logged_ms`."""
        left = iter(records)
        await self._store.open()
        try:
            while some := list(islice(left, _BATCH)):
                await self._write(topic, some, logged_ms)
        finally:
            await self._store.close()

    async def _write(self, topic: str, records: Sequence[Outgoing], logged_ms: int) -> None:
        placed: dict[TopicPartition, list[LoggedRecord]] = defaultdict(list)
        for record in records:
            tp = TopicPartition(topic, record.partition or 0)
            placed[tp].append(LoggedRecord(self._next[tp], record.value or b"", record.key, logged_ms))
            self._next[tp] += 1
        await self._store.positions(list(placed), {})
        await self._store.write([self._batch(tp, logged) for tp, logged in placed.items()])

    def _batch(self, tp: TopicPartition, records: Sequence[LoggedRecord]) -> Batch:
        encoded = self._store.encode(tp, records)
        assert not encoded.refused, encoded.refused
        last = records[-1].offset
        batch = Batch(tp=tp, first=records[0].offset, last=last, next=last + 1, count=len(records))
        batch.chunk, batch.rows = encoded.chunk, encoded.rows
        return batch


def by_slot(records: Iterable[tuple[int, Outgoing]]) -> Iterator[tuple[int, list[Outgoing]]]:
    """Records with their times, in order, by the slot in which a live feed would have appended them."""
    slots: dict[int, list[Outgoing]] = defaultdict(list)
    for time_ms, record in records:
        slots[time_ms - time_ms % _SLOT_MS].append(record)
    yield from slots.items()
