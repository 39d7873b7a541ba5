"""Where a new owner of a partition goes on from: a decision, apart from the asking."""

from dataclasses import dataclass

from runtime.errors import CandlewickError


class EngineStartError(CandlewickError):
    """The engine must not start here by itself; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class EngineStartFacts:
    """What Kafka says of one partition after the old owner was fenced."""

    name: str
    """``topic/partition``, for messages."""
    state_position: int | None
    """Of the last checkpoint."""
    committed_position: int | None
    """Of the last commit, by the state's own record; the group's offset is the same, unless someone moved it."""
    group_offset: int | None
    beginning: int
    end: int
    has_output: bool
    """Whether the output partition holds committed records."""
    topic_id: str | None = None
    state_topic_id: str | None = None
    """The id of the topic that the state was made of; None: it does not say."""
    state_base: int = 0
    """What was added to the revisions that were published."""

    @property
    def is_another_topic(self) -> bool:
        """Whether the state was made of a topic of this name that is no more (or of records that its brokers lost)."""
        if self.state_position is None:
            return False
        differs = None not in (self.topic_id, self.state_topic_id) and self.topic_id != self.state_topic_id
        return differs or self.reached > self.end

    @property
    def reached(self) -> int:
        """The offset before which candles were published."""
        return max(self.state_position or 0, self.committed_position or 0)

    @property
    def least_base(self) -> int:
        """What has to be added to revisions for them to rise on."""
        return self.state_base + self.reached if self.is_another_topic else self.state_base


@dataclass(frozen=True, kw_only=True)
class EngineStart:
    """Go on from `position`; with or without the stored state, and in mid-log or not.

    With it, the records between the state's position and `position` are read again, for the state alone.
    """

    position: int
    keep_state: bool
    mid_log: bool


def decide_start(
    found: EngineStartFacts, *, from_start: bool, accept_truncation: bool, revision_base: int = 0
) -> EngineStart:
    """The rules of the design's section "Candles"; raises `EngineStartError` with the way out."""
    if revision_base < found.least_base:
        raise EngineStartError(_too_low(found))
    if found.group_offset is None:
        # Kafka forgets a group's offsets with the topic: the revision base says that the new one is meant.
        if found.has_output and not from_start and not found.is_another_topic:
            raise EngineStartError(
                f"{found.name}: the group has no offset (expired or deleted) but candles were published: "
                "starting over would publish them again; say --from-start if that is what you want, "
                "or set the offset with candlewick replay"
            )
        return EngineStart(position=found.beginning, keep_state=False, mid_log=found.beginning > 0)
    if found.group_offset > found.end:
        raise EngineStartError(
            f"{found.name}: the group's offset {found.group_offset} is beyond the log's end {found.end}: "
            "the topic was made anew; move the group with candlewick replay --to earliest, and start with a "
            f"--revision-base of at least {found.group_offset + found.state_base} so that revisions keep rising"
        )
    if found.group_offset < found.beginning:
        if not accept_truncation:
            raise EngineStartError(
                f"{found.name}: offset {found.group_offset} is no longer in the log, it begins at "
                f"{found.beginning}: {found.beginning - found.group_offset} records were deleted before they were "
                "read; import that time again, and say --accept-truncation to go on from the first record"
            )
        return EngineStart(position=found.beginning, keep_state=False, mid_log=True)
    is_ours = found.state_position is not None and not found.is_another_topic
    keep_state = is_ours and found.group_offset == found.committed_position
    if keep_state and (found.state_position or 0) < found.beginning:
        if not accept_truncation:
            raise EngineStartError(
                f"{found.name}: the state stands at offset {found.state_position}, which is no longer in the log (it "
                f"begins at {found.beginning}): say --accept-truncation to go on from offset "
                f"{found.group_offset} without it, series beginning there"
            )
        keep_state = False
    return EngineStart(
        position=found.group_offset, keep_state=keep_state, mid_log=not keep_state and found.group_offset > 0
    )


def _too_low(found: EngineStartFacts) -> str:
    if found.is_another_topic:
        return (
            f"{found.name}: the topic was made anew since {found.reached} of its records were read: its offsets "
            f"begin again, and newer candles would lose to older ones; start with --revision-base {found.least_base} "
            "or more, the most that any partition asks for, from then on (candlewick replay candles --to earliest "
            "first, should the group have an offset)"
        )
    return (
        f"{found.name}: candles were published with --revision-base {found.state_base}: without it newer ones would "
        "lose to them; start with it, as every time since the topic was made anew"
    )
