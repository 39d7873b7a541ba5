"""What the runner needs of a store, and what passes between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from market.records import BareRecord
from runtime.kafka import TopicPartition
from sinks.encoded import Encoded


@dataclass(kw_only=True, eq=False)
class Batch:
    """Consecutive records of one partition that are written together.

    Topic, partition, first and last offset identify it and never change: a retry writes the same batch.
    """

    tp: TopicPartition
    first: int
    """Offset of its first record with a value; if no record has a value, of its first record."""
    slot: int = 0
    """The slot of the log clock that its first record lies in (`sinks.rolling_policy`)."""
    last: int = 0
    next: int = 0
    """Where reading goes on after the batch."""
    count: int = 0
    """Records with a value, whether written or refused."""
    size_bytes: int = 0
    records: list[BareRecord] = field(default_factory=list)
    """Those with a value, until they are encoded."""
    chunk: Any = None
    """Its rows in the store's own form."""
    rows: int = 0
    is_encoded: bool = False
    is_written: bool = False
    """The store says so as soon as it has acknowledged the batch, even if it fails at another one."""


class PaceLimit(NamedTuple):
    """Batches are written at any of these limits, whichever comes first."""

    records: int
    size_bytes: int
    seconds: float


class Pace(NamedTuple):
    """How large batches become: by what is usual, and while more than `behind.records` are still to be read."""

    usual: PaceLimit
    behind: PaceLimit


class RejectedError(Exception):
    """The store refuses these records and can hold the others. Maybe none of the batches is written yet."""

    def __init__(self, reasons: Mapping[tuple[TopicPartition, int], str]) -> None:
        super().__init__(f"{len(reasons)} records are rejected")
        self.reasons = reasons


class MovedError(Exception):
    """The store's own position is not where this process left it: reading must go on from there."""


class Store(Protocol):
    """A place that records are written to; idempotent by the records' own keys.

    All methods raise `UnavailableError` while the store is away (the runner waits and asks again), and another
    `CandlewickError` if a person has to act.
    """

    @property
    def name(self) -> str:
        """As in ``sink.redis``."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics that the store takes."""

    @property
    def recent_only(self) -> frozenset[str]:
        """Topics of which a store that lost its positions needs only the last hour."""

    @property
    def pace(self) -> Pace | None:
        """When batches end; None: the log alone decides (`sinks.rolling_policy`)."""

    async def open(self) -> None:
        """Connect, and make what is missing; harmless to repeat."""

    async def identities(self) -> Mapping[str, str | None]:
        """Topic → the id of the table or store that holds its records; a table or store made anew has another id.

        None: the table or store is empty or missing. Topics are left out if there are no such ids. Changes nothing, and
        can be called before `open`.
        """

    async def positions(
        self, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]
    ) -> Mapping[TopicPartition, int] | None:
        """The store's own positions in the topics with these ids; None: the group's offsets count."""

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """Records of one partition, each with a value, in the store's form. Pure; called once for a batch."""

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write batches; those that say `is_written` are safe, and all are once this returns.

        Raises `RejectedError` and `MovedError`, besides what all methods raise.
        """

    async def close(self) -> None:
        """Close the connection."""
