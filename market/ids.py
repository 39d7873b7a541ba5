"""Trade ids seen, kept as ranges: contiguous ids cost one comparison and no memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet


class IdRanges:
    """A set of whole numbers as sorted, disjoint, never touching ranges, both ends inclusive."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            if last < first or (self._lasts and first <= self._lasts[-1] + 1):
                raise ValueError(f"ids {first} to {last} do not stand behind the range before them")
            self._firsts.append(first)
            self._lasts.append(last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdRanges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def add(self, number: int) -> bool:
        """Take in a number; False where it was there already."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and number == lasts[-1] + 1:  # the common case: the next id
            lasts[-1] = number
            return True
        at = bisect_right(firsts, number) - 1
        if at >= 0 and number <= lasts[at]:
            return False
        joins_left = at >= 0 and number == lasts[at] + 1
        joins_right = at + 1 < len(firsts) and number == firsts[at + 1] - 1
        if joins_left and joins_right:
            lasts[at] = lasts.pop(at + 1)
            firsts.pop(at + 1)
        elif joins_left:
            lasts[at] = number
        elif joins_right:
            firsts[at + 1] = number
        else:
            firsts.insert(at + 1, number)
            lasts.insert(at + 1, number)
        return True

    def add_range(self, first: int, last: int) -> bool:
        """Take in all numbers of a range, both ends inclusive; False, and nothing done, where any was there already."""
        firsts, lasts = self._firsts, self._lasts
        at = bisect_right(firsts, last)  # the first range that lies wholly behind
        if at and lasts[at - 1] >= first:
            return False
        joins_left = at > 0 and lasts[at - 1] == first - 1
        joins_right = at < len(firsts) and firsts[at] == last + 1
        begin, end = at - joins_left, at + joins_right
        first = firsts[begin] if joins_left else first
        last = lasts[end - 1] if joins_right else last
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]
        return True

    def cover(self, first: int, last: int) -> None:
        """Take in all numbers of a range, both ends inclusive, whether some were there already or not."""
        firsts, lasts = self._firsts, self._lasts
        begin = bisect_left(lasts, first - 1)  # the first range that touches it
        end = bisect_right(firsts, last + 1)
        if begin < end:
            first, last = min(first, firsts[begin]), max(last, lasts[end - 1])
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    @property
    def least(self) -> int:
        """The least number; an empty set has none (IndexError)."""
        return self._firsts[0]

    @property
    def greatest(self) -> int:
        """The greatest number; an empty set has none (IndexError)."""
        return self._lasts[-1]

    def missing(self) -> list[tuple[int, int]]:
        """The ranges between the least and the greatest number that are not in the set."""
        return [(last + 1, first - 1) for last, first in zip(self._lasts, self._firsts[1:], strict=False)]


_NONE: AbstractSet[str] = frozenset()
"""Shared by all that have no texts: an empty set of its own would be a tenth of what a minute takes."""


class SeenIds:
    """Trade ids of any form: numbers as ranges, others in a set."""

    __slots__ = ("numbers", "texts")

    def __init__(self, numbers: Iterable[tuple[int, int]] = (), texts: Iterable[str] = ()) -> None:
        self.numbers = IdRanges(numbers)
        self.texts: AbstractSet[str] = set(texts) or _NONE

    def add(self, trade_id: str, number: int | None) -> bool:
        """Take in an id, `number` being its `numeric_id`; False where it was there already."""
        if number is not None:
            return self.numbers.add(number)
        if trade_id in self.texts:
            return False
        if not isinstance(self.texts, set):
            self.texts = set()
        self.texts.add(trade_id)
        return True

    def holds(self, trade_id: str, number: int | None) -> bool:
        """Whether an id, `number` being its `numeric_id`, is in."""
        return trade_id in self.texts if number is None else number in self.numbers
