"""Where reading a partition goes on: a decision, apart from the asking."""

from dataclasses import dataclass

from runtime.errors import CandlewickError
from runtime.kafka import Committed, OffsetMetadata


class SinkStartError(CandlewickError):
    """The sink must not start here by itself; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class SinkStartFacts:
    """What is known of one partition when it is assigned; offsets are the next to read."""

    group: str
    name: str
    """``topic/partition``, for messages."""
    committed: Committed | None
    beginning: int
    end: int
    now: OffsetMetadata
    """The ids of the topic and the store as they are."""

    @property
    def is_another_topic(self) -> bool:
        """Whether the group's offset was read from a topic of this name that is no more."""
        return self.committed is not None and self.committed.metadata.is_of_another_topic(self.now.topic_id)

    @property
    def is_another_store(self) -> bool:
        """Whether what the group's offset claims was written to a store that is no more, or was emptied."""
        return self.committed is not None and self.committed.metadata.is_of_another_store(self.now.store_id)


def start_by_group(found: SinkStartFacts, *, accept_truncation: bool) -> int:
    """Go on from the group's offset; without one, from the beginning of the log. Never skips records unsaid."""
    if found.committed is None:
        return found.beginning
    committed, was = found.committed
    if found.is_another_topic:
        raise SinkStartError(
            f"{found.name}: the offset {committed} of {found.group} is of a topic that is no more (id {was.topic_id}): "
            f"the topic was made anew (id {found.now.topic_id}), and reading on from there would skip its records; "
            f"read it from its beginning with: {_replay(found)} --to earliest --execute"
        )
    if found.is_another_store:
        raise SinkStartError(
            f"{found.name}: {found.group} wrote everything before offset {committed} to a place (id {was.store_id}) "
            f"that {_what_it_is_now(found)}: what was written is not there; write again what the log still holds "
            f"with: {_replay(found)} --to earliest --execute (or take the store as it is: --to current)"
        )
    if committed > found.end:
        raise SinkStartError(
            f"{found.name}: the offset {committed} of {found.group} is beyond the log's end {found.end}: the topic was "
            f"made anew; move the group with: {_replay(found)} --to earliest --execute"
        )
    if committed < found.beginning and not accept_truncation:
        raise SinkStartError(
            f"{found.name}: offset {committed} of {found.group} is no longer in the log, it begins at "
            f"{found.beginning}: {found.beginning - committed} records were deleted before they were written; import "
            "that time again, and say --accept-truncation to go on from the first record"
        )
    return max(committed, found.beginning)


def start_by_store(found: SinkStartFacts, *, stored: int | None, recent: int) -> int:
    """Go on from the store's own position, or from an earlier offset that the group was moved to.

    A store that lost its position (or holds that of another log) is filled anew from `recent`. What has left the log
    is no longer hot: a cut is not an error here.
    """
    if stored is None or stored > found.end:
        return max(recent, found.beginning)
    moved_to = stored if found.committed is None or found.is_another_topic else found.committed.offset
    return max(min(stored, moved_to), found.beginning)


def _replay(found: SinkStartFacts) -> str:
    return f"candlewick replay {found.group}"


def _what_it_is_now(found: SinkStartFacts) -> str:
    if found.now.store_id is None:
        return "is empty now or was made anew"
    return f"was made anew (id {found.now.store_id})"
