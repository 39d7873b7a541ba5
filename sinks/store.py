"""What a store is to the runner, and what passes between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from market.records import Record
from runtime.kafka import TopicPartition


class RejectedRecord(NamedTuple):
    """A record that the store can never hold, and why; it goes to the dead letters."""

    record: Record
    error: Exception


class Encoded(NamedTuple):
    """Records of one topic in the store's own form; `chunk` is opaque to the runner."""

    chunk: Any
    rows: int
    refused: list[RejectedRecord]


@dataclass(kw_only=True)
class Batch:
    """Consecutive records of one partition that are written together.

    Its identity (topic, partition, first and last offset) never changes: a retry writes the same batch.
    """

    tp: TopicPartition
    first: int
    """Offset of its first record with a value; where it has none, of its first record."""
    slot: int = 0
    """The slot of the log clock that its first record lies in (`sinks.rolling_policy`)."""
    last: int = 0
    next: int = 0
    """Where reading goes on behind it."""
    records: int = 0
    """Records with a value, whether written or refused."""
    rows: int = 0
    size_bytes: int = 0
    chunks: list[Any] = field(default_factory=list)


class Pace(NamedTuple):
    """When batches are written: at any of these limits, whichever comes first."""

    records: int
    size_bytes: int
    seconds: float


class RejectedError(Exception):
    """The store said no to these records and can hold the others; nothing of the batches need be in it."""

    def __init__(self, reasons: Mapping[tuple[TopicPartition, int], str]) -> None:
        super().__init__(f"{len(reasons)} records are rejected")
        self.reasons = reasons


class MovedError(Exception):
    """The position kept in the store is not where this process left it: reading must resume from there."""


class Store(Protocol):
    """A place that records are written to; idempotent by the records' own keys.

    All methods raise `UnavailableError` where the store is away for now (the runner waits and asks again), and any
    other `CandlewickError` where a person has to do something.
    """

    @property
    def name(self) -> str:
        """As in ``sink.redis``."""

    @property
    def topics(self) -> Sequence[str]:
        """What it takes in."""

    @property
    def recent_only(self) -> frozenset[str]:
        """Topics of which a store that keeps positions and has none needs no more than the last hour."""

    @property
    def pace(self) -> Pace | None:
        """When batches end; None: where the log says (`sinks.rolling_policy`)."""

    async def open(self) -> None:
        """Connect, and make what must be there; harmless to repeat."""

    async def identities(self) -> Mapping[str, str | None]:
        """By topic, the id of the place that holds its records, which another one in its stead would not have.

        None where that place is empty or not there; a topic is left out whose place has no id. Changes nothing, and
        can be asked before `open`.
        """

    async def positions(
        self, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]
    ) -> Mapping[TopicPartition, int] | None:
        """Where the store itself says reading of the topics with these ids goes on; None: the group's offsets tell."""

    def encode(self, records: Sequence[Record]) -> Encoded:
        """Records (each with a value, all of one topic) in the store's form. Pure."""

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write batches; they are held safely once this returns. `RejectedError` and `MovedError` as above."""

    async def close(self) -> None:
        """Let the connection go."""
