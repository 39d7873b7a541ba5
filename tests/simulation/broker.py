"""A simulated cluster, as far as its clients can tell: logs, transactions, offsets of groups. It decides, and is asked.

Kafka's own rules, in the order in which Kafka's own code comes to them (4.x, transactions without KIP-890's new
epochs, because that is what aiokafka speaks): a commit is decided first and written to the partitions afterwards, each
in its own time; a new owner waits for that, and fences before it does.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import attrgetter
from typing import Any, NamedTuple

from aiokafka.errors import ConcurrentTransactions, InvalidTxnState, ProducerFenced
from aiokafka.structs import TopicPartition

TRANSACTION_TIMEOUT_S = 10.0
EXPIRY_SCAN_S = 10.0
"""How often the coordinator looks for transactions that took too long."""

Later = Callable[..., Any]
_offset = attrgetter("offset")


class Ending(Enum):
    """How a transaction ended."""

    COMMIT = auto()
    ABORT = auto()


class Transaction:
    """What one owner of a transactional id does until it commits or is aborted."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.logs: dict[TopicPartition, Log] = {}
        self.offsets: dict[tuple[str, TopicPartition], int] = {}
        self.unmarked = 0


class Message(NamedTuple):
    """What a client sends."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True, eq=False)
class Entry:
    """A record of a log, as consumers get it; a control record has no message."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    transaction: Transaction | None
    control: bool = False


@dataclass(eq=False)
class Log:
    """One partition."""

    tp: TopicPartition
    entries: list[Entry] = field(default_factory=list)
    next: int = 0
    open: dict[Transaction, int] = field(default_factory=dict)
    """Transactions whose end is not written here yet, with their first offsets."""
    grown: Callable[[], None] = lambda: None

    @property
    def stable_end(self) -> int:
        """The first offset that committed readers do not see."""
        return min(self.open.values(), default=self.next)

    def append(
        self, timestamp: int, message: Message, transaction: Transaction | None = None, *, control: bool = False
    ) -> int:
        offset = self.next
        self.entries.append(Entry(*self.tp, offset, timestamp, *message, transaction, control))
        self.next += 1
        return offset

    def end_transaction(self, transaction: Transaction, timestamp: int) -> None:
        self.append(timestamp, Message(None, None, ()), transaction, control=True)
        del self.open[transaction]

    def read(self, offset: int, limit: int, *, committed: bool) -> tuple[list[Entry], int]:
        """Up to `limit` records from `offset` on, and the offset to ask for next."""
        end = self.stable_end if committed else self.next
        if offset >= end:
            return [], offset
        found: list[Entry] = []
        at = bisect_left(self.entries, offset, key=_offset)
        while at < len(self.entries) and self.entries[at].offset < end:
            if len(found) == limit:
                return found, self.entries[at].offset
            if _readable(self.entries[at], committed=committed):
                found.append(self.entries[at])
            at += 1
        return found, max(offset, end)

    def all_committed(self) -> list[Entry]:
        return self.read(0, len(self.entries), committed=True)[0]

    def compact(self, keep: Callable[[], bool]) -> int:
        """Compact: drop replaced and aborted records, but those that `keep` names; returns how many were dropped."""
        end = self.stable_end
        seen: set[bytes | None] = set()
        kept: list[Entry] = []
        for entry in reversed(self.entries):
            settled = entry.offset < end
            readable = _readable(entry, committed=True)
            superseded = settled and (not readable or entry.key in seen)
            if settled and readable:
                seen.add(entry.key)
            if not superseded or keep():
                kept.append(entry)
        gone = len(self.entries) - len(kept)
        self.entries = kept[::-1]
        return gone


def _readable(entry: Entry, *, committed: bool) -> bool:
    if entry.control:
        return False
    return not committed or entry.transaction is None or entry.transaction.ending is Ending.COMMIT


@dataclass(eq=False)
class _Owner:
    """What the coordinator knows of one transactional id."""

    epoch: int = -1
    transaction: Transaction | None = None


class Broker:
    """The cluster. `later(what, *arguments)` does something in a while; `clock_ms` is the append time."""

    def __init__(
        self,
        topics: Iterable[str],
        partitions: int,
        later: Later,
        clock_ms: Callable[[], int],
        note: Callable[..., None],
    ) -> None:
        self.partitions = partitions
        self.logs = {
            tp: Log(tp)
            for topic in topics
            for partition in range(partitions)
            if (tp := TopicPartition(topic, partition))
        }
        self.offsets: dict[tuple[str, TopicPartition], int] = {}
        self.regressions: list[str] = []
        self._owners: dict[str, _Owner] = {}
        self._later = later
        self._clock_ms = clock_ms
        self._note = note

    def produce(self, tp: TopicPartition, messages: Sequence[Message]) -> int:
        """Append outside of transactions; the first offset."""
        log = self.logs[tp]
        first, now_ms = log.next, self._clock_ms()
        for message in messages:
            log.append(now_ms, message)
        self._note("append", *tp, first, len(messages))
        log.grown()
        return first

    def init_producer(self, transactional_id: str) -> int:
        """Fence the owner of the id and return the new epoch; refused until the old transaction is ended."""
        owner = self._owners.setdefault(transactional_id, _Owner())
        if owner.transaction is not None and owner.transaction.ending is not None:
            raise ConcurrentTransactions
        owner.epoch += 1
        self._note("fence", transactional_id, owner.epoch)
        if owner.transaction is not None:
            self._end(transactional_id, owner, Ending.ABORT)
            raise ConcurrentTransactions
        return owner.epoch

    def produce_in(self, transactional_id: str, epoch: int, tp: TopicPartition, messages: Sequence[Message]) -> int:
        """Append in a transaction, which the first append begins."""
        transaction = self._transaction(transactional_id, epoch)
        log = self.logs[tp]
        if tp not in transaction.logs:
            transaction.logs[tp] = log
            log.open[transaction] = log.next
        first, now_ms = log.next, self._clock_ms()
        for message in messages:
            log.append(now_ms, message, transaction)
        self._note("append", *tp, first, len(messages), transactional_id, epoch)
        return first

    def offsets_in(self, transactional_id: str, epoch: int, group: str, offsets: dict[TopicPartition, int]) -> None:
        """Offsets that count once the transaction is committed; the group's generation is not checked."""
        transaction = self._transaction(transactional_id, epoch)
        transaction.offsets |= {(group, tp): offset for tp, offset in offsets.items()}

    def end(self, transactional_id: str, epoch: int, ending: Ending) -> None:
        """Decide a transaction; its partitions learn of it a while after the answer."""
        owner = self._owner(transactional_id, epoch)
        if owner.transaction is None:
            raise InvalidTxnState
        if owner.transaction.ending is None:
            self._end(transactional_id, owner, ending)

    def commit(self, group: str, tp: TopicPartition, offset: int) -> None:
        """Move a group."""
        before = self.offsets.get((group, tp), -1)
        if offset < before:
            self.regressions.append(f"the group's offset of {tp.partition} went from {before} back to {offset}")
        self.offsets[group, tp] = offset
        self._note("offset", tp.partition, offset)

    def _owner(self, transactional_id: str, epoch: int) -> _Owner:
        owner = self._owners[transactional_id]
        if owner.epoch != epoch:
            raise ProducerFenced
        return owner

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        owner = self._owner(transactional_id, epoch)
        if owner.transaction is None:
            owner.transaction = Transaction()
            self._later(TRANSACTION_TIMEOUT_S, EXPIRY_SCAN_S, self._expire, transactional_id, owner.transaction)
        elif owner.transaction.ending is not None:
            raise ConcurrentTransactions
        return owner.transaction

    def _expire(self, transactional_id: str, transaction: Transaction) -> None:
        owner = self._owners[transactional_id]
        if owner.transaction is transaction and transaction.ending is None:
            owner.epoch += 1
            self._note("expire", transactional_id, owner.epoch)
            self._end(transactional_id, owner, Ending.ABORT)

    def _end(self, transactional_id: str, owner: _Owner, ending: Ending) -> None:
        transaction = owner.transaction
        assert transaction is not None
        self._note("end", transactional_id, owner.epoch, ending.name)
        transaction.ending = ending
        transaction.unmarked = len(transaction.logs) + 1
        for log in transaction.logs.values():
            self._later(0.0, None, self._mark, owner, transaction, log)
        self._later(0.0, None, self._mark, owner, transaction, None)

    def _mark(self, owner: _Owner, transaction: Transaction, log: Log | None) -> None:
        if log is not None:
            log.end_transaction(transaction, self._clock_ms())
            log.grown()
        elif transaction.ending is Ending.COMMIT:
            for (group, tp), offset in transaction.offsets.items():
                self.commit(group, tp, offset)
        transaction.unmarked -= 1
        if not transaction.unmarked:
            owner.transaction = None
