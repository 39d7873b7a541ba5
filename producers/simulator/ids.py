"""Sets of ids as ranges: contiguous ids cost one comparison and no memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from msgspec import Struct


class IdRange(Struct, frozen=True):
    """Ids `first` … `last`, both included."""

    first: int
    last: int


class IdSet:
    """A set of whole numbers, kept as ranges in order that neither touch nor overlap."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __iter__(self) -> Iterator[IdRange]:
        """The ranges, in order."""
        return (IdRange(first, last) for first, last in zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def add(self, first: int, last: int) -> None:
        """Add `first` … `last`."""
        if self._lasts and first == self._lasts[-1] + 1:
            self._lasts[-1] = last
            return
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high], self._lasts[low:high] = [first], [last]

    def discard(self, first: int, last: int) -> None:
        """Remove `first` … `last`, as far as they are in the set."""
        low, high = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if low >= high:
            return
        below = (self._firsts[low], min(self._lasts[low], first - 1))
        above = (max(self._firsts[high - 1], last + 1), self._lasts[high - 1])
        left = [ids for ids in (below, above) if ids[0] <= ids[1]]
        self._firsts[low:high], self._lasts[low:high] = [ids[0] for ids in left], [ids[1] for ids in left]

    def missing(self, first: int, last: int) -> Iterator[IdRange]:
        """The parts of `first` … `last` that are not in the set, in order."""
        for ids in self.within(first, last):
            if first < ids.first:
                yield IdRange(first, ids.first - 1)
            first = ids.last + 1
        if first <= last:
            yield IdRange(first, last)

    def within(self, first: int, last: int) -> Iterator[IdRange]:
        """The parts of `first` … `last` that are in the set, in order."""
        for index in range(bisect_left(self._lasts, first), bisect_right(self._firsts, last)):
            yield IdRange(max(first, self._firsts[index]), min(last, self._lasts[index]))
