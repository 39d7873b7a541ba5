"""Which trade ids of one symbol were seen, which are missing, and since what time. Pure.

The exchange's ids count up by one. Contiguous ids cost one comparison and no memory: the ledger keeps the greatest id,
the gaps below it, and for a while the ids that were *given up*. The feed does not wait for them any more, because the
exchange does not have them (absent) or did not give them in time (lost). If a trade with such an id comes after all,
it is new, and no repetition.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from msgspec import Struct, structs

REORDER_S = 0.25
"""A gap is asked for only after this time: messages in the wrong order fill it by themselves."""
OPEN_US = 1 << 62
"""The upper time of an open gap: no readable trade has come after it yet."""
SAME_US = 1_000_000
"""Two sources may tell the time of one trade in two resolutions."""
MAX_GIVEN_UP = 1_000
"""At most so many ranges of given up ids are kept; ids below these ranges are published again when they come."""


class Gap(Struct):
    """Missing ids, `first` to `last` inclusive; their times lie between those of the trades before and after them."""

    first: int
    last: int
    from_us: int
    until_us: int
    """`OPEN_US`: not known yet."""
    opened_s: float
    """When the gap was noticed, on the monotonic clock of the caller."""
    filled_s: float
    """When one of its ids last came; if none came, when the gap was noticed."""
    ask_at_s: float
    """When to ask the exchange for it."""
    asked: int = 0
    """How often it was asked for on this connection in vain."""
    history_from: int | None = None
    """The first id of the exchange's history, if the history begins after the id that was asked for."""
    lost: bool = False
    """True: given up because it did not come in time. False: because the exchange does not have it."""
    proven_us: int = 0
    """Of an open gap: the market time that was proven when it was noticed; it may have been an old time."""
    known_us: int = OPEN_US
    """The trade right before it is no later; `OPEN_US`: not known."""

    @property
    def known(self) -> int:
        """The id right before the gap: a page that proves something begins with this id."""
        return self.first - 1

    @property
    def trades(self) -> int:
        """How many ids are missing."""
        return self.last - self.first + 1

    def is_bounded(self, now_us: int) -> bool:
        """Whether the gap has an upper time; an open gap gets one as soon as a later market time is proven."""
        if self.until_us == OPEN_US and now_us > self.proven_us:
            self.until_us = max(self.from_us, now_us)
        return self.until_us != OPEN_US


class Novelty(Enum):
    """How new a trade's id is."""

    NEW = "new"
    SEEN = "seen"
    """A repetition."""
    LATE = "late"
    """The exchange had shown that it has no such id."""
    RECOVERED = "recovered"
    """The id had been given up as lost."""
    UNKNOWN = "unknown"
    """Not known any more: it is published again, which does no harm."""
    FORMER = "former"
    """The id is from before the exchange reset its ids: the trade is published again, too."""
    LOWER = "lower"
    """A lower id at a later time than any trade before: `Ledger.lower`. Nothing is said of it until that is decided."""
    RESET = "reset"
    """The second such id: the exchange has reset its ids. The trade belongs into a new ledger."""


class LowerId(NamedTuple):
    """An id that is lower than known ones, although its trade is later than theirs."""

    number: int
    time_us: int


class Ledger:
    """The ids of one symbol. At first, ids from `floor` to `head` count as seen, and ids below `floor` as unknown."""

    __slots__ = (
        "began_us",
        "floor",
        "former_head",
        "gaps",
        "given_up",
        "head",
        "head_us",
        "known_us",
        "latest_us",
        "lower",
        "undecided_s",
    )  # fmt: skip

    def __init__(
        self, head: int, head_us: int, floor: int = 0, former_head: int = -1, known_us: int | None = None
    ) -> None:
        self.head = head
        self.former_head = former_head
        """The greatest id before the exchange reset its ids: trades with old ids may come late."""
        self.began_us = head_us
        self.head_us = head_us
        """No trade behind the greatest id is of before: the time of its own trade, or a later one."""
        self.known_us = head_us if known_us is None else known_us
        """The time of the trade with the greatest id, or a time before it."""
        self.latest_us = head_us
        self.floor = floor
        self.gaps: list[Gap] = []
        """In the order of ids."""
        self.given_up: list[Gap] = []
        """Not seen, and not waited for any more; in the order of ids."""
        self.lower: LowerId | None = None
        """If a second one follows, the exchange has reset its ids, and this was the first one."""
        self.undecided_s: float | None = None
        """Since when it is undecided whether the exchange has reset its ids, on the monotonic clock of the caller."""

    def add(self, number: int, time_us: int, now_s: float) -> Novelty:
        """Note a trade's id, and say how new it is (see `Novelty`); an id that skips others opens a gap."""
        head = self.head
        if number <= self.former_head and time_us < self.began_us:
            return Novelty.FORMER
        if number > head:
            self._follow(number, time_us, now_s)
            return Novelty.NEW
        if _remove(self.gaps, number, time_us, now_s) is not None:
            self._lower(number, time_us)
            if number == head:
                self.head_us = max(time_us, self.head_us)
            self.latest_us = max(time_us, self.latest_us)
            return Novelty.NEW
        return self._add_known(number, time_us, now_s)

    def add_next(self, number: int, time_us: int) -> bool:
        """Note a trade if nothing needs a decision: its id is the next one and its time no earlier than all known ones.

        False: it was not noted, and `add` says what it is. Nearly all trades of a stream are of this kind.
        """
        if number != self.head + 1 or time_us < self.latest_us or self.gaps or self.lower is not None:
            return False
        self.head = number
        self.head_us = self.known_us = self.latest_us = time_us
        return True

    def add_following(self, numbers: Sequence[int], times_us: Sequence[int]) -> bool:
        """The same for many trades, in the order in which they came: all are noted, or none."""
        first, head = numbers[0], self.head + len(numbers)
        if first != self.head + 1 or times_us[0] < self.latest_us or self.gaps or self.lower is not None:
            return False
        if numbers[-1] != head or list(range(first, head + 1)) != numbers or sorted(times_us) != times_us:
            return False
        self.head = head
        self.head_us = self.known_us = self.latest_us = times_us[-1]
        return True

    def is_missing(self, number: int) -> bool:
        """Whether a trade of this id is waited for."""
        return number > self.head or _index_of(self.gaps, number) is not None

    def is_new(self, number: int) -> bool:
        """Whether a trade of this id is certainly no repetition."""
        return self.is_missing(number) or _index_of(self.given_up, number) is not None

    def miss(self, number: int, now_us: int, now_s: float) -> None:
        """Note that a trade of this id exists but cannot be read: if its id is the greatest so far, this opens a gap.

        `now_us` is no upper time of that gap: after an outage the proven market time is an old one.
        """
        if number > self.head:
            self.gaps.append(
                Gap(self.head + 1, number, self.head_us, OPEN_US, now_s, now_s, now_s + REORDER_S, proven_us=now_us)
            )
            self.head = number

    def give_up(self, first: int, last: int, now_s: float, *, lost: bool = False) -> list[Gap]:
        """Give up these ids; returns the ids among them that were missing until now."""
        given_up = []
        while (index := _first_within(self.gaps, first, last)) is not None:
            gap = self.gaps[index]
            part = structs.replace(gap, first=max(first, gap.first), last=min(last, gap.last), lost=lost)
            _take_out(self.gaps, index, part, (gap.until_us, gap.from_us), now_s)
            self._keep(part)
            given_up.append(part)
        return given_up

    def give_up_overdue(self, overdue_s: float, now_us: int) -> list[Gap]:
        """Give up and return the gaps that were asked for, and of which nothing has come since `overdue_s`.

        An open gap is kept until the proven market time (`now_us`) certainly lies after it.
        """
        lost = [gap for gap in self.gaps if gap.asked and gap.filled_s <= overdue_s and gap.is_bounded(now_us)]
        if lost:
            self.gaps = [gap for gap in self.gaps if gap not in lost]
            for gap in lost:
                self._keep(structs.replace(gap, lost=True))
        return lost

    def behind(self, known: int) -> Gap | None:
        """The gap right after this id."""
        gap = self.gap_of(known + 1)
        return None if gap is None or gap.known != known else gap

    def gap_of(self, number: int) -> Gap | None:
        """The gap with this id."""
        index = _index_of(self.gaps, number)
        return None if index is None else self.gaps[index]

    def passed_again(self, number: int, time_us: int) -> int | None:
        """The time of the known trade with this id, if the history's row of `time_us` is a later trade; else None.

        Then the exchange has reset its ids while nobody listened, and the new ids have reached this one again.
        """
        gap = self.behind(number)
        if self.is_new(number) or (gap is None and number != self.head):
            return None
        known_us = self.head_us if gap is None else gap.known_us
        if time_us <= known_us + SAME_US:
            return None
        if gap is None:
            self.head_us = time_us
        else:
            gap.known_us = time_us
        return known_us

    def is_reset_by(self, rows: Sequence[tuple[int, int]], *, is_whole: bool) -> bool:
        """Whether the exchange's history from `lower` on shows that ids were reset.

        `rows` are its ids and times. Either a second lower id is of a later time, too; or the history is whole, and the
        lower id is its newest.
        """
        if self.lower is None:
            return False
        behind = [time_us for number, time_us in rows if self.lower.number < number <= self.head]
        if behind:
            return max(behind) >= self.lower.time_us
        return is_whole and [number for number, _ in rows] == [self.lower.number] and rows[0][1] >= self.lower.time_us

    def give_up_deciding(self, now_us: int) -> None:
        """Give up deciding whether the exchange has reset its ids: trades until `now_us` may be missing."""
        self.undecided_s = None
        self.latest_us = max(self.latest_us, now_us)

    def _add_known(self, number: int, time_us: int, now_s: float) -> Novelty:
        """Note a trade whose id counts as known: it is a repetition, or the claim was wrong, or ids were reset."""
        is_later = time_us > self.latest_us
        if is_later:
            if self.lower is not None and self.lower.number < number:
                return Novelty.RESET
            self.lower = LowerId(number, time_us)
            self.undecided_s = now_s if self.undecided_s is None else self.undecided_s
        given_up = _remove(self.given_up, number, time_us, now_s)
        if given_up is not None:
            if number == self.head:
                self.head_us = max(time_us, self.head_us)
            if not given_up.lost:
                self._ask_again(given_up, now_s)
            return Novelty.RECOVERED if given_up.lost else Novelty.LATE
        if is_later:
            return Novelty.LOWER
        return Novelty.UNKNOWN if number < self.floor else Novelty.SEEN

    def _follow(self, number: int, time_us: int, now_s: float) -> None:
        if self.gaps:
            self._bound(time_us)
            self._lower(number, time_us)
        if number > self.head + 1:
            self._open(number - 1, time_us, now_s)
        self.head, self.head_us, self.known_us = number, time_us, time_us
        self.latest_us = max(time_us, self.latest_us)
        if self.lower is not None and time_us >= self.lower.time_us:
            self.lower = self.undecided_s = None

    def _bound(self, time_us: int) -> None:
        """A readable trade comes after the open gaps: its time is their upper time."""
        for gap in reversed(self.gaps):
            if gap.until_us != OPEN_US:
                return
            gap.from_us, gap.until_us = sorted((gap.from_us, time_us))

    def _lower(self, number: int, time_us: int) -> None:
        """Let gaps below this id begin no later than its trade: times need not be in the order of ids.

        Else a marker could have this trade as its last one, and a new producer would go on behind ids that are missing.
        """
        for gap in reversed(self.gaps):
            if gap.first < number:
                if gap.from_us <= time_us:
                    return
                gap.from_us = time_us

    def _open(self, last: int, time_us: int, now_s: float) -> None:
        # Times may not be in the order of ids: then the gap begins at the earlier time, which promises less.
        from_us, until_us = sorted((self.head_us, time_us))
        gap = Gap(self.head + 1, last, from_us, until_us, now_s, now_s, now_s + REORDER_S)
        if not self.is_new(self.head):
            gap.known_us = self.head_us
        self.gaps.append(gap)

    def _ask_again(self, shown: Gap, now_s: float) -> None:
        """The exchange has one of these ids that it had shown not to have: the others are waited for again."""
        for gap in [gap for gap in self.given_up if shown.first <= gap.first <= shown.last]:
            self.given_up.remove(gap)
            again = structs.replace(gap, opened_s=now_s, filled_s=now_s, ask_at_s=now_s, asked=0)
            self.gaps.insert(bisect_left(self.gaps, gap.last, key=_last), again)

    def _keep(self, part: Gap) -> None:
        self.given_up.insert(bisect_left(self.given_up, part.last, key=_last), part)
        if len(self.given_up) > MAX_GIVEN_UP:
            self.floor = max(self.floor, self.given_up.pop(0).last + 1)


def _remove(gaps: list[Gap], number: int, time_us: int, now_s: float) -> Gap | None:
    index = _index_of(gaps, number)
    if index is None:
        return None
    gap = gaps[index]
    part = structs.replace(gap, first=number, last=number)
    _take_out(gaps, index, part, (max(gap.from_us, time_us), min(time_us, gap.until_us)), now_s, known_us=time_us)
    return gap


def _index_of(gaps: list[Gap], number: int) -> int | None:
    return _first_within(gaps, number, number)


def _first_within(gaps: list[Gap], first: int, last: int) -> int | None:
    index = bisect_left(gaps, first, key=_last)
    return index if index < len(gaps) and gaps[index].first <= last else None


def _take_out(
    gaps: list[Gap], index: int, part: Gap, times_us: tuple[int, int], now_s: float, *, known_us: int = OPEN_US
) -> None:
    gap = gaps[index]
    below = structs.replace(gap, last=part.first - 1, until_us=times_us[0], filled_s=now_s)
    above = structs.replace(gap, first=part.last + 1, from_us=times_us[1], filled_s=now_s, known_us=known_us)
    gaps[index : index + 1] = [rest for rest in (below, above) if rest.first <= rest.last]


def _last(gap: Gap) -> int:
    return gap.last
