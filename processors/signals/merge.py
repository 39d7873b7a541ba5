"""Partitions read side by side, as one log in the order of (append time, partition, offset). Pure.

A record is handed on once no other partition can have an earlier one: each other partition either has its next record
here, or is known to hold none up to some time. So every reading has the same order, however the records were fetched.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from market.records import BareRecord

NEVER_MS = -1
END_MS = 1 << 62
"""Known up to here: nothing of the partition will be read any more. It is no time of the log clock."""


class Placed(NamedTuple):
    """A record and its place in the merged log."""

    log_ms: int
    """Its append time, which never falls within a partition."""
    partition: int
    record: BareRecord


class LogMerge:
    """The partitions of one topic."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self._queues: dict[int, deque[Placed]] = {partition: deque() for partition in partitions}
        self._known_ms = dict.fromkeys(self._queues, NEVER_MS)
        """Up to before this time, all records of the partition are here or were handed on."""
        self._newest_ms = dict.fromkeys(self._queues, NEVER_MS)
        self.taken_ms = NEVER_MS
        """The greatest append time handed on."""
        self.too_late = 0
        """Records that came after their place was passed; they are handed on at once."""

    def add(self, partition: int, records: Iterable[BareRecord]) -> None:
        """Records that were read, in offset order."""
        queue, newest_ms = self._queues[partition], self._newest_ms[partition]
        for record in records:
            newest_ms = max(newest_ms, record.timestamp)
            queue.append(Placed(newest_ms, partition, record))
        self._newest_ms[partition] = newest_ms
        self.know(partition, newest_ms)

    def know(self, partition: int, until_ms: int) -> None:
        """Every record of the partition that was appended before `until_ms` has been added."""
        self._known_ms[partition] = max(self._known_ms[partition], until_ms)

    @property
    def newest_ms(self) -> int:
        """The greatest append time that was read."""
        return max(self._newest_ms.values())

    @property
    def known_ms(self) -> int:
        """No record that was appended before this time is still to be handed on."""
        waiting = (queue[0].log_ms for queue in self._queues.values() if queue)
        return min([*waiting, *(self._known_ms[p] for p, queue in self._queues.items() if not queue)])

    def waiting(self, partition: int) -> int:
        """How many of its records wait to be handed on."""
        return len(self._queues[partition])

    def ready(self) -> Iterator[Placed]:
        """Hand on, in order, what no unread record can come before."""
        heads = [(queue[0].log_ms, partition) for partition, queue in self._queues.items() if queue]
        heapify(heads)
        limit_ms = min((self._known_ms[p] for p, queue in self._queues.items() if not queue), default=None)
        while heads and (limit_ms is None or heads[0][0] < limit_ms):
            log_ms, partition = heappop(heads)
            queue = self._queues[partition]
            placed = queue.popleft()
            if log_ms < self.taken_ms:
                self.too_late += 1
            self.taken_ms = max(self.taken_ms, log_ms)
            if queue:
                heappush(heads, (queue[0].log_ms, partition))
            else:
                known_ms = self._known_ms[partition]
                limit_ms = known_ms if limit_ms is None else min(limit_ms, known_ms)
            yield placed
