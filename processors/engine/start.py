"""At which offset a new owner of a partition goes on. Pure: the facts in, the decision out."""

from dataclasses import dataclass

from runtime.errors import CandlewickError


class EngineStartError(CandlewickError):
    """The engine must not start here before a person decides; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class EngineStartFacts:
    """What Kafka says of one partition after the old owner was fenced."""

    name: str
    """``topic/partition``, for messages."""
    state_position: int | None
    """Offset of the last checkpoint."""
    committed_position: int | None
    """Offset of the last commit, by the state's own record. The group's offset is the same unless someone moved it."""
    group_offset: int | None
    beginning: int
    end: int
    has_output: bool
    """Whether the output partition holds committed records."""
    topic_id: str | None = None
    state_topic_id: str | None = None
    """Kafka's id of the topic that the state was made of; None: the state does not say."""
    state_base: int = 0
    """The revision base that the published revisions contain."""

    @property
    def is_another_topic(self) -> bool:
        """Whether the state was made of an earlier topic of this name (or of records that the brokers lost)."""
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
        """The least revision base with which revisions go on rising."""
        return self.state_base + self.reached if self.is_another_topic else self.state_base


@dataclass(frozen=True, kw_only=True)
class EngineStart:
    """Go on from `position`; with or without the stored state, and in mid-log or not.

    With the state, the records between the state's position and `position` are read again, for the state alone.
    """

    position: int
    keep_state: bool
    mid_log: bool


def decide_start(
    facts: EngineStartFacts, *, from_start: bool, accept_truncation: bool, revision_base: int = 0
) -> EngineStart:
    """Decide by the rules of ARCHITECTURE.md, "The candle engine".

    Outcomes:
    - No group offset: from the log's beginning, without the state.
    - An offset that is no longer in the log, with `accept_truncation`: from the log's beginning, without the state.
    - The group's offset is that of the last commit, and the state is of this topic: from there, with the state.
    - Another group offset, which someone set: from there, without the state.

    `EngineStartError`, which says how to go on:
    - A revision base that is too low for revisions to rise.
    - No group offset, but candles were published, without `from_start`.
    - An offset beyond the log's end.
    - Group offset or state position no longer in the log, without `accept_truncation`.
    """
    if revision_base < facts.least_base:
        raise EngineStartError(_too_low(facts))
    if facts.group_offset is None:
        # Kafka deletes a group's offsets together with the topic. If the topic was made anew, the given revision base
        # says that a start from its beginning is meant.
        if facts.has_output and not from_start and not facts.is_another_topic:
            raise EngineStartError(
                f"{facts.name}: the group has no offset (expired or deleted) but candles were published: "
                "starting over would publish them again; say --from-start if that is what you want, "
                "or set the offset with candlewick replay"
            )
        return EngineStart(position=facts.beginning, keep_state=False, mid_log=facts.beginning > 0)
    if facts.group_offset > facts.end:
        raise EngineStartError(
            f"{facts.name}: the group's offset {facts.group_offset} is beyond the log's end {facts.end}: "
            "the topic was made anew; move the group with candlewick replay --to earliest, and start with a "
            f"--revision-base of at least {facts.group_offset + facts.state_base} so that revisions keep rising"
        )
    if facts.group_offset < facts.beginning:
        if not accept_truncation:
            raise EngineStartError(
                f"{facts.name}: offset {facts.group_offset} is no longer in the log, it begins at "
                f"{facts.beginning}: {facts.beginning - facts.group_offset} records were deleted before they were "
                "read; import that time again, and say --accept-truncation to go on from the first record"
            )
        return EngineStart(position=facts.beginning, keep_state=False, mid_log=True)
    is_ours = facts.state_position is not None and not facts.is_another_topic
    keep_state = is_ours and facts.group_offset == facts.committed_position
    if keep_state and (facts.state_position or 0) < facts.beginning:
        if not accept_truncation:
            raise EngineStartError(
                f"{facts.name}: the state stands at offset {facts.state_position}, which is no longer in the log (it "
                f"begins at {facts.beginning}): say --accept-truncation to go on from offset "
                f"{facts.group_offset} without the state: series begin there"
            )
        keep_state = False
    return EngineStart(
        position=facts.group_offset, keep_state=keep_state, mid_log=not keep_state and facts.group_offset > 0
    )


def _too_low(facts: EngineStartFacts) -> str:
    if facts.is_another_topic:
        return (
            f"{facts.name}: the topic was made anew since {facts.reached} of its records were read: its offsets "
            f"begin again, and newer candles would lose to older ones; start with --revision-base {facts.least_base} "
            "or more (the most that any partition asks for), now and at every later start; if the group has an "
            "offset, run candlewick replay candles --to earliest first"
        )
    return (
        f"{facts.name}: candles were published with --revision-base {facts.state_base}: without it newer candles would "
        "lose to these; give it at every start"
    )
