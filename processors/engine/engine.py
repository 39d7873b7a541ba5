"""An engine, as the shell sees it: a pure core that takes records in offset order, and what becomes of its outputs.

The shell (`worker`, `assigned_partition`) fences, restores, reads and commits. What an engine computes, and where it is
published, stands in its own folder.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from market.errors import MalformedError
from market.records import BareRecord
from market.topics import Topics
from processors.config import ProcessorConfig
from processors.engine.state import StoredState
from runtime.figures import FigureName
from runtime.kafka import Outgoing, TopicPartition
from runtime.settings import Settings

DeadLetter = tuple[BareRecord, MalformedError]
"""A refused record, and why."""


class EngineCore(Protocol):
    """All that an engine knows of one input partition."""

    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def position(self) -> int:
        """Offset of the next record."""


class CoreOutputs(Protocol):
    """What records led to, in order; its length is how many records are to be published."""

    def __len__(self) -> int: ...

    @property
    def dead(self) -> Sequence[DeadLetter]: ...  # noqa: D102

    def append(self, later: Self) -> None:
        """Put the outputs of later records behind these."""

    def figures(self) -> Mapping[FigureName, int]:
        """How much of each kind there is."""


CoreT = TypeVar("CoreT", bound=EngineCore)
OutputsT = TypeVar("OutputsT", bound=CoreOutputs)


@dataclass(frozen=True, kw_only=True)
class EngineTopics:
    """The topics of an engine."""

    names: Topics
    state: str
    output: str
    """Committed records in it show that a group without an offset had one."""
    needed: frozenset[str]
    """All that have to be there, as `market.topics` says."""


class TransactionalEngine(Protocol[CoreT, OutputsT]):
    """One engine as it was asked to run."""

    @property
    def name(self) -> str:
        """Of its group, its log and its figures."""

    @property
    def config(self) -> ProcessorConfig: ...  # noqa: D102
    @property
    def revision_base(self) -> int: ...  # noqa: D102

    def topics(self, topics: Topics) -> EngineTopics:
        """What it reads and writes."""

    def outputs(self) -> OutputsT:
        """No outputs yet."""

    def begin(self, *, partition: int, partitions: int, position: int, awaits_floor: bool) -> CoreT:
        """A core that knows nothing; `awaits_floor`: it begins in mid-log, so some records before were not read."""

    def restore(self, stored: StoredState, *, partition: int, partitions: int, resumes_at: int) -> CoreT:
        """The core of the last checkpoint. Outputs of records before the offset `resumes_at` are committed already.

        `StateError` where something is missing or broken.
        """

    def needs_checkpoint(self, core: CoreT) -> bool:
        """Whether the next commit has to hold a checkpoint, because a restart could not repeat what was done."""

    def process(self, core: CoreT, records: Sequence[BareRecord]) -> OutputsT:
        """What the records lead to; the same records in other batches give the same outputs."""

    def checkpoint(self, core: CoreT, topic_id: str | None) -> Iterable[Outgoing]:
        """The records that bring the stored state up to the core; all changes are noted as written."""

    def records(self, outputs: OutputsT, tp: TopicPartition) -> Mapping[str, list[Outgoing]]:
        """What a commit publishes, by topic; `tp` is the input partition."""

    def end(self, partition: int, log_end: int) -> int:
        """Where ``once`` ends."""

    def is_final(self, core: CoreT) -> bool:
        """Whether nothing that is still to be read can change an output."""

    def beside(self, settings: Settings) -> AbstractAsyncContextManager[Callable[[Iterable[Any]], None]]:
        """What runs beside the transactions: it gives a function that is called often, with the assigned partitions."""
