"""Where a new owner of a partition goes on from: a decision, apart from the asking."""

from dataclasses import dataclass

from runtime.errors import CandlewickError


class StartError(CandlewickError):
    """The engine must not start here by itself; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Found:
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


@dataclass(frozen=True, kw_only=True)
class Start:
    """Go on from `position`; with or without the stored state, and in mid-log or not.

    With it, the records between the state's position and `position` are read again, for the state alone.
    """

    position: int
    keep_state: bool
    mid_log: bool


def decide_start(found: Found, *, from_start: bool, accept_cut: bool) -> Start:
    """The rules of the design's section "Candles"; raises `StartError` with the way out."""
    if found.group_offset is None:
        if found.has_output and not from_start:
            raise StartError(
                f"{found.name}: the group has no offset (expired or deleted) but candles were published: "
                "starting over would publish them again; say --from-start if that is what you want, "
                "or set the offset with candlewick replay"
            )
        return Start(position=found.beginning, keep_state=False, mid_log=found.beginning > 0)
    if found.group_offset > found.end:
        raise StartError(
            f"{found.name}: the group's offset {found.group_offset} is beyond the log's end {found.end}: "
            "the topic was made anew; move the group with candlewick replay --to earliest, and start with a "
            f"--revision-base of at least {found.group_offset} so that revisions keep rising"
        )
    if found.group_offset < found.beginning:
        if not accept_cut:
            raise StartError(
                f"{found.name}: offset {found.group_offset} is no longer in the log, it begins at "
                f"{found.beginning}: {found.beginning - found.group_offset} records were deleted before they were "
                "read; import that time again, and say --accept-cut to go on from the first record"
            )
        return Start(position=found.beginning, keep_state=False, mid_log=True)
    keep_state = found.state_position is not None and found.group_offset == found.committed_position
    if keep_state and (found.state_position or 0) < found.beginning:
        if not accept_cut:
            raise StartError(
                f"{found.name}: the state stands at offset {found.state_position}, which is no longer in the log (it "
                f"begins at {found.beginning}): say --accept-cut to go on from offset {found.group_offset} without it, "
                "lanes beginning there"
            )
        keep_state = False
    return Start(position=found.group_offset, keep_state=keep_state, mid_log=not keep_state and found.group_offset > 0)
