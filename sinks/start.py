"""Where reading a partition goes on: decided from facts that `sinks.assignment` asks for."""

from dataclasses import dataclass

from runtime.errors import CandlewickError
from runtime.kafka import Committed, OffsetMetadata


class SinkStartError(CandlewickError):
    """A person has to decide where the sink goes on; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class SinkStartFacts:
    """What is known of one partition when it is assigned. An offset is that of the next record to read."""

    group: str
    name: str
    """``topic/partition``, for messages."""
    committed: Committed | None
    beginning: int
    end: int
    now: OffsetMetadata
    """The ids that the topic and the store have now."""

    @property
    def is_another_topic(self) -> bool:
        """Whether the group's offset is of an earlier topic of this name."""
        return self.committed is not None and self.committed.metadata.is_of_another_topic(self.now.topic_id)

    @property
    def is_another_store(self) -> bool:
        """Whether the records before the group's offset were written to a store that was replaced or emptied since."""
        return self.committed is not None and self.committed.metadata.is_of_another_store(self.now.store_id)


def start_by_group(facts: SinkStartFacts, *, accept_truncation: bool) -> int:
    """Where to read on by the group's offset; without one, from the beginning of the log.

    Raises `SinkStartError` if that would skip records: the topic or the store was made anew, the offset lies beyond the
    log's end, or (without `accept_truncation`) records from the offset on were deleted.
    """
    if facts.committed is None:
        return facts.beginning
    committed, was = facts.committed
    if facts.is_another_topic:
        raise SinkStartError(
            f"{facts.name}: the offset {committed} of {facts.group} is of an earlier topic (id {was.topic_id}): "
            f"the topic was made anew (id {facts.now.topic_id}), and reading on from there would skip its records; "
            f"read it from its beginning with: {_replay(facts)} --to earliest --execute"
        )
    if facts.is_another_store:
        raise SinkStartError(
            f"{facts.name}: {facts.group} wrote everything before offset {committed} to a place (id {was.store_id}) "
            f"that {_what_it_is_now(facts)}: what was written is not there; write again what the log still holds "
            f"with: {_replay(facts)} --to earliest --execute (or take the store as it is: --to current)"
        )
    if committed > facts.end:
        raise SinkStartError(
            f"{facts.name}: the offset {committed} of {facts.group} is beyond the log's end {facts.end}: the topic was "
            f"made anew; move the group with: {_replay(facts)} --to earliest --execute"
        )
    if committed < facts.beginning and not accept_truncation:
        raise SinkStartError(
            f"{facts.name}: offset {committed} of {facts.group} is no longer in the log, it begins at "
            f"{facts.beginning}: {facts.beginning - committed} records were deleted before they were written; import "
            "that time again, and say --accept-truncation to go on from the first record"
        )
    return max(committed, facts.beginning)


def start_by_store(facts: SinkStartFacts, *, stored: int | None, recent: int) -> int:
    """Where to read on by the store's own position, or by an earlier offset that the group was moved to.

    A store that lost its position (or has that of another log) is filled anew from `recent`. A truncated log is no
    error here: what has left the log is no longer hot.
    """
    if stored is None or stored > facts.end:
        return max(recent, facts.beginning)
    moved_to = stored if facts.committed is None or facts.is_another_topic else facts.committed.offset
    return max(min(stored, moved_to), facts.beginning)


def _replay(facts: SinkStartFacts) -> str:
    return f"candlewick replay {facts.group}"


def _what_it_is_now(facts: SinkStartFacts) -> str:
    if facts.now.store_id is None:
        return "is empty now or was made anew"
    return f"was made anew (id {facts.now.store_id})"
