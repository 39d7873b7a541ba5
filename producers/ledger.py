"""Which trade ids of one symbol were seen, which are missing, and from what time on they are. Pure.

Of an exchange whose ids count up by one. Contiguous ids cost one comparison and no memory: what is kept is the
greatest id and the gaps below it.
"""

from bisect import bisect_left
from enum import Enum

from msgspec import Struct, structs

REORDER_S = 0.25
"""A gap is asked for only after this: messages that overtook each other close it by themselves."""


class Gap(Struct):
    """Ids that are missing, `first` to `last` inclusive; they lie between the times of the trades around them."""

    first: int
    last: int
    from_us: int
    until_us: int
    opened_s: float
    """When it was noticed, on the monotonic clock of the caller."""
    moved_s: float
    """When the last of its ids came, else when it was noticed."""
    ask_at_s: float
    """When to ask the exchange for it."""
    asked: int = 0
    """How often it was asked for, on this connection, and nothing came."""


class Found(Enum):
    """What a ledger says of a trade."""

    NEW = "new"
    SEEN = "seen"
    RESET = "reset"
    """A lower id at a later time than any: the exchange counts anew."""


class Ledger:
    """The ids of one symbol; all up to `head`, at the beginning, count as seen."""

    __slots__ = ("gaps", "head", "head_us", "latest_us")

    def __init__(self, head: int, head_us: int) -> None:
        self.head = head
        self.head_us = head_us
        """Time of the trade with the greatest id."""
        self.latest_us = head_us
        self.gaps: list[Gap] = []
        """In the order of ids."""

    def add(self, number: int, time_us: int, now_s: float) -> Found:
        """Take in a trade's id; one that jumps opens a gap."""
        head = self.head
        if number > head:
            if number > head + 1:
                # Of two times that disagree with the ids' order the earlier one promises less.
                from_us, until_us = sorted((self.head_us, time_us))
                self.gaps.append(Gap(head + 1, number - 1, from_us, until_us, now_s, now_s, now_s + REORDER_S))
            self.head, self.head_us = number, time_us
            self.latest_us = max(time_us, self.latest_us)
            return Found.NEW
        at = self._gap_at(number)
        if at is not None:
            gap = self.gaps[at]
            self._cut(at, number, number, (max(gap.from_us, time_us), min(time_us, gap.until_us)), now_s)
            return Found.NEW
        return Found.RESET if time_us > self.latest_us else Found.SEEN

    def absent(self, first: int, last: int, now_s: float) -> None:
        """The exchange itself says that it has none of these ids: they are not missing."""
        while (at := self._gap_within(first, last)) is not None:
            gap = self.gaps[at]
            self._cut(at, max(first, gap.first), min(last, gap.last), (gap.until_us, gap.from_us), now_s)
        self.head = max(self.head, last)

    def give_up(self, moved_before_s: float) -> list[Gap]:
        """Let go of the gaps of which nothing came since, though asked for; returned are those."""
        lost = [gap for gap in self.gaps if gap.asked and gap.moved_s <= moved_before_s]
        if lost:
            self.gaps = [gap for gap in self.gaps if gap not in lost]
        return lost

    def starting_at(self, number: int) -> Gap | None:
        """The gap whose first id is this."""
        at = self._gap_at(number)
        return None if at is None or self.gaps[at].first != number else self.gaps[at]

    def _gap_at(self, number: int) -> int | None:
        at = bisect_left(self.gaps, number, key=_last)
        return at if at < len(self.gaps) and self.gaps[at].first <= number else None

    def _gap_within(self, first: int, last: int) -> int | None:
        at = bisect_left(self.gaps, first, key=_last)
        return at if at < len(self.gaps) and self.gaps[at].first <= last else None

    def _cut(self, at: int, first: int, last: int, times_us: tuple[int, int], now_s: float) -> None:
        gap = self.gaps[at]
        below = structs.replace(gap, last=first - 1, until_us=times_us[0], moved_s=now_s)
        above = structs.replace(gap, first=last + 1, from_us=times_us[1], moved_s=now_s)
        self.gaps[at : at + 1] = [part for part in (below, above) if part.first <= part.last]


def _last(gap: Gap) -> int:
    return gap.last
