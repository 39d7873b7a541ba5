"""Trade ids seen, kept as ranges: contiguous ids cost one comparison and no memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet


class IdRanges:
    """A set of whole numbers as sorted ranges with both ends inclusive; between two ranges a number is missing."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            if last < first or (self._lasts and first <= self._lasts[-1] + 1):
                raise ValueError(f"ids {first} to {last} do not come after the range before them")
            self._firsts.append(first)
            self._lasts.append(last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdRanges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def add(self, number: int) -> bool:
        """Take in a number; False if it was in the set already."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and number == lasts[-1] + 1:  # the common case: the next id
            lasts[-1] = number
            return True
        index = bisect_right(firsts, number) - 1
        if index >= 0 and number <= lasts[index]:
            return False
        joins_left = index >= 0 and number == lasts[index] + 1
        joins_right = index + 1 < len(firsts) and number == firsts[index + 1] - 1
        if joins_left and joins_right:
            lasts[index] = lasts.pop(index + 1)
            firsts.pop(index + 1)
        elif joins_left:
            lasts[index] = number
        elif joins_right:
            firsts[index + 1] = number
        else:
            firsts.insert(index + 1, number)
            lasts.insert(index + 1, number)
        return True

    def add_range(self, first: int, last: int) -> bool:
        """Take in all numbers of a range, both ends inclusive. False: one was in already, and nothing is done."""
        firsts, lasts = self._firsts, self._lasts
        behind = bisect_right(firsts, last)  # the first range that lies wholly after
        if behind and lasts[behind - 1] >= first:
            return False
        joins_left = behind > 0 and lasts[behind - 1] == first - 1
        joins_right = behind < len(firsts) and firsts[behind] == last + 1
        begin, end = behind - joins_left, behind + joins_right
        first = firsts[begin] if joins_left else first
        last = lasts[end - 1] if joins_right else last
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]
        return True

    def cover(self, first: int, last: int) -> None:
        """Take in all numbers of a range, both ends inclusive, whether some were in already or not."""
        firsts, lasts = self._firsts, self._lasts
        begin = bisect_left(lasts, first - 1)  # the first range that overlaps it or adjoins
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
"""Shared by all that have no texts: an empty set for each would take a tenth of a minute's memory."""


class SeenIds:
    """Trade ids of any form: numbers as ranges, others in a set."""

    __slots__ = ("numbers", "texts")

    def __init__(self, numbers: Iterable[tuple[int, int]] = (), texts: Iterable[str] = ()) -> None:
        self.numbers = IdRanges(numbers)
        self.texts: AbstractSet[str] = set(texts) or _NONE

    def add(self, trade_id: str, number: int | None) -> bool:
        """Take in an id; `number` is its `numeric_id`. False if the id was in the set already."""
        if number is not None:
            return self.numbers.add(number)
        if trade_id in self.texts:
            return False
        if not isinstance(self.texts, set):
            self.texts = set()
        self.texts.add(trade_id)
        return True

    def holds(self, trade_id: str, number: int | None) -> bool:
        """Whether an id is in the set; `number` is its `numeric_id`."""
        return trade_id in self.texts if number is None else number in self.numbers
