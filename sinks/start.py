"""Where reading a partition goes on: a decision, apart from the asking."""

from dataclasses import dataclass

from runtime.errors import CandlewickError


class StartError(CandlewickError):
    """The sink must not start here by itself; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of one partition when it is assigned; offsets are the next to read."""

    group: str
    name: str
    """``topic/partition``, for messages."""
    committed: int | None
    beginning: int
    end: int


def start_by_group(found: Found, *, accept_cut: bool) -> int:
    """Go on from the group's offset; without one, from the beginning of the log. Never skips records unsaid."""
    committed = found.committed
    if committed is None:
        return found.beginning
    if committed > found.end:
        raise StartError(
            f"{found.name}: the offset {committed} of {found.group} is beyond the log's end {found.end}: the topic was "
            f"made anew; move the group with: candlewick replay {found.group} --to earliest --execute"
        )
    if committed < found.beginning and not accept_cut:
        raise StartError(
            f"{found.name}: offset {committed} of {found.group} is no longer in the log, it begins at "
            f"{found.beginning}: {found.beginning - committed} records were deleted before they were written; import "
            "that time again, and say --accept-cut to go on from the first record"
        )
    return max(committed, found.beginning)


def start_by_store(found: Found, *, stored: int | None, recent: int) -> int:
    """Go on from the store's own position, or from an earlier offset that the group was moved to.

    A store that lost its position (or holds that of another log) is filled anew from `recent`. What has left the log
    is no longer hot: a cut is not an error here.
    """
    if stored is None or stored > found.end:
        return max(recent, found.beginning)
    return max(min(stored, found.end if found.committed is None else found.committed), found.beginning)
