"""Which trade ids of one symbol were seen, which are missing, and from what time on they are. Pure.

Of an exchange whose ids count up by one. Contiguous ids cost one comparison and no memory: what is kept is the
greatest id, the gaps below it, and for a while the ids that nobody waits for any more: those that the exchange itself
does not have, and those that it did not give in time. Should one of these come after all, it is not taken for a
repetition.
"""

from bisect import bisect_left
from enum import Enum

from msgspec import Struct, structs

REORDER_S = 0.25
"""A gap is asked for only after this: messages that overtook each other close it by themselves."""
OPEN_US = 1 << 62
"""The upper time of a gap that no readable trade is behind yet."""
MAX_NOT_AWAITED = 1_000
"""So many ranges of ids that are not waited for are kept; below them everything is published again."""


class Gap(Struct):
    """Ids that are missing, `first` to `last` inclusive; they lie between the times of the trades around them."""

    first: int
    last: int
    from_us: int
    until_us: int
    """`OPEN_US`: nobody knows yet."""
    opened_s: float
    """When it was noticed, on the monotonic clock of the caller."""
    moved_s: float
    """When the last of its ids came, else when it was noticed."""
    ask_at_s: float
    """When to ask the exchange for it."""
    asked: int = 0
    """How often it was asked for, on this connection, and nothing came."""
    history_from: int | None = None
    """The first id that the exchange's history has, where that begins behind what was asked for."""
    lost: bool = False
    """Given up, not absent."""
    told_us: int = 0
    """Of an open one, the market time that was proved when it was noticed: it may have been an old one."""

    @property
    def known(self) -> int:
        """The id right before it, which a page that proves something begins with."""
        return self.first - 1

    def is_bounded(self, now_us: int) -> bool:
        """Whether it has an upper time; an open one gets it as soon as a later market time is proved."""
        if self.until_us == OPEN_US and now_us > self.told_us:
            self.until_us = max(self.from_us, now_us)
        return self.until_us != OPEN_US


class Verdict(Enum):
    """What a ledger says of a trade."""

    NEW = "new"
    SEEN = "seen"
    LATE = "late"
    """The exchange had said that there is none."""
    RECOVERED = "recovered"
    """It had been given up."""
    UNKNOWN = "unknown"
    """Nobody knows whether it was published: to do it again does no harm."""
    FORMER = "former"
    """Its id is one of those before the exchange counted anew: as with unknown ones, nobody knows."""
    RESET = "reset"
    """The second of two lower ids at later times than any: the exchange counts anew."""


class Ledger:
    """The ids of one symbol. Up to `head`, at the beginning, they count as seen; below `floor` nobody knows."""

    __slots__ = (
        "began_us",
        "floor",
        "former_head",
        "gaps",
        "head",
        "head_us",
        "latest_us",
        "not_awaited",
        "restarting",
        "undecided_s",
    )  # fmt: skip

    def __init__(self, head: int, head_us: int, floor: int = 0, former_head: int = -1) -> None:
        self.head = head
        self.former_head = former_head
        """The greatest id before the exchange counted anew: one of those may come late."""
        self.began_us = head_us
        self.head_us = head_us
        """Time of the trade with the greatest id."""
        self.latest_us = head_us
        self.floor = floor
        self.gaps: list[Gap] = []
        """In the order of ids."""
        self.not_awaited: list[Gap] = []
        """Not seen, and not waited for; in the order of ids."""
        self.restarting: int | None = None
        """A lower id at a later time than any: with another behind it, the exchange counts anew."""
        self.undecided_s: float | None = None
        """Since when nobody knows whether it does, on the monotonic clock of the caller."""

    def add(self, number: int, time_us: int, now_s: float) -> Verdict:
        """Take in a trade's id; one that jumps opens a gap."""
        head = self.head
        if number > head:
            if number <= self.former_head and time_us < self.began_us:
                return Verdict.FORMER
            if self.gaps:
                self._bound(time_us)
            if number > head + 1:
                self._open(number - 1, time_us, now_s)
            self.head, self.head_us = number, time_us
            self.latest_us = max(time_us, self.latest_us)
            self.restarting = self.undecided_s = None
            return Verdict.NEW
        if _remove(self.gaps, number, time_us, now_s) is not None:
            if number == head:
                self.head_us = max(time_us, self.head_us)
            self.latest_us = max(time_us, self.latest_us)
            return Verdict.NEW
        if time_us > self.latest_us:
            before, self.restarting = self.restarting, number
            self.undecided_s = now_s if self.undecided_s is None else self.undecided_s
            if before is not None and before < number:
                return Verdict.RESET
        part = _remove(self.not_awaited, number, time_us, now_s)
        if part is not None:
            return Verdict.RECOVERED if part.lost else Verdict.LATE
        return Verdict.UNKNOWN if number < self.floor else Verdict.SEEN

    def is_missing(self, number: int) -> bool:
        """Whether a trade of this id is waited for."""
        return number > self.head or _at(self.gaps, number) is not None

    def is_new(self, number: int) -> bool:
        """Whether a trade of this id is no repetition for sure."""
        return self.is_missing(number) or _at(self.not_awaited, number) is not None

    def missing(self, number: int, now_us: int, now_s: float) -> None:
        """There is a trade of this id, but it cannot be read: an open gap, if it is a new one.

        `now_us` is no bound of it: after an outage the market time that is proved is an old one.
        """
        if number > self.head:
            self.gaps.append(
                Gap(self.head + 1, number, self.head_us, OPEN_US, now_s, now_s, now_s + REORDER_S, told_us=now_us)
            )
            self.head = number

    def stop_awaiting(self, first: int, last: int, now_s: float, *, lost: bool = False) -> list[Gap]:
        """Do not wait for these ids any more; returned are those of them that were waited for."""
        found = []
        while (at := _within(self.gaps, first, last)) is not None:
            gap = self.gaps[at]
            part = structs.replace(gap, first=max(first, gap.first), last=min(last, gap.last), lost=lost)
            _take_out(self.gaps, at, part, (gap.until_us, gap.from_us), now_s)
            self._keep(part)
            found.append(part)
        return found

    def give_up(self, moved_before_s: float, now_us: int) -> list[Gap]:
        """Let go of the gaps of which nothing came since, though asked for; returned are those.

        An open one is kept until a market time is proved, `now_us`, that it is surely before.
        """
        lost = [gap for gap in self.gaps if gap.asked and gap.moved_s <= moved_before_s and gap.is_bounded(now_us)]
        if lost:
            self.gaps = [gap for gap in self.gaps if gap not in lost]
            for gap in lost:
                self._keep(structs.replace(gap, lost=True))
        return lost

    def behind(self, known: int) -> Gap | None:
        """The gap right behind this id."""
        at = _at(self.gaps, known + 1)
        return None if at is None or self.gaps[at].known != known else self.gaps[at]

    def gap_of(self, number: int) -> Gap | None:
        """The gap that an id is missing in."""
        at = _at(self.gaps, number)
        return None if at is None else self.gaps[at]

    def stay_undecided(self, now_us: int) -> None:
        """Wait no longer for the decision whether the exchange counts anew: what was until now may be missing."""
        self.undecided_s = None
        self.latest_us = max(self.latest_us, now_us)

    def _bound(self, time_us: int) -> None:
        """A readable trade behind the open gaps: they end with it."""
        for gap in reversed(self.gaps):
            if gap.until_us != OPEN_US:
                return
            gap.from_us, gap.until_us = sorted((gap.from_us, time_us))

    def _open(self, last: int, time_us: int, now_s: float) -> None:
        # Of two times that disagree with the ids' order the earlier one promises less.
        from_us, until_us = sorted((self.head_us, time_us))
        self.gaps.append(Gap(self.head + 1, last, from_us, until_us, now_s, now_s, now_s + REORDER_S))

    def _keep(self, part: Gap) -> None:
        self.not_awaited.insert(bisect_left(self.not_awaited, part.last, key=_last), part)
        if len(self.not_awaited) > MAX_NOT_AWAITED:
            self.floor = max(self.floor, self.not_awaited.pop(0).last + 1)


def _remove(gaps: list[Gap], number: int, time_us: int, now_s: float) -> Gap | None:
    at = _at(gaps, number)
    if at is None:
        return None
    gap = gaps[at]
    part = structs.replace(gap, first=number, last=number)
    _take_out(gaps, at, part, (max(gap.from_us, time_us), min(time_us, gap.until_us)), now_s)
    return gap


def _at(gaps: list[Gap], number: int) -> int | None:
    at = bisect_left(gaps, number, key=_last)
    return at if at < len(gaps) and gaps[at].first <= number else None


def _within(gaps: list[Gap], first: int, last: int) -> int | None:
    at = bisect_left(gaps, first, key=_last)
    return at if at < len(gaps) and gaps[at].first <= last else None


def _take_out(gaps: list[Gap], at: int, part: Gap, times_us: tuple[int, int], now_s: float) -> None:
    gap = gaps[at]
    below = structs.replace(gap, last=part.first - 1, until_us=times_us[0], moved_s=now_s)
    above = structs.replace(gap, first=part.last + 1, from_us=times_us[1], moved_s=now_s)
    gaps[at : at + 1] = [part for part in (below, above) if part.first <= part.last]


def _last(gap: Gap) -> int:
    return gap.last
