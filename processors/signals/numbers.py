"""Numbers of signals. Pure.

Logarithms are whole multiples of `LOG_UNIT`, so that sums of them are exact and do not depend on the order in which
minutes came, went and were corrected: a restart that reads the same minutes has the same bits.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from decimal import Decimal

LOG_UNIT = 1e-12
_UNITS = 10**12
ABSENT = -(1 << 63)
"""In place of a logarithm: there is none."""
MAD_TO_DEVIATION = 1.4826
"""The median absolute deviation of a normal distribution, times this, is its standard deviation."""
MEAN_TO_DEVIATION = 1.253314
"""And its mean absolute deviation, times this."""
MAX_SCORE = 1e9
_PLACES = 18
_SIGNIFICANT = 12


def log_units(value: float) -> int:
    """The natural logarithm of `value` (greater than 0) in `LOG_UNIT`, rounded."""
    return round(math.log(value) * _UNITS)


def rounded(value: float, places: int) -> Decimal:
    """`value`, at most 10^9 in size, to `places` digits after the point."""
    return Decimal(f"{max(-MAX_SCORE, min(MAX_SCORE, value)):.{places}f}")


def significant(value: float) -> Decimal:
    """`value` to 12 significant digits, and at most 18 after the point."""
    short = Decimal(f"{value:.{_SIGNIFICANT - 1}e}")
    # Only small numbers have so many places; a great one with 18 of them would not fit the context of `round`.
    return short if short.adjusted() >= _SIGNIFICANT - 1 - _PLACES else round(short, _PLACES)


class OrderedLogs:
    """A multiset of logarithms in `LOG_UNIT`, in order: its median and deviations without looking at each.

    Adding and removing moves at most some kilobytes of memory; the median absolute deviation takes O(log n).
    """

    __slots__ = ("_below", "_ordered", "_squares", "_total")

    def __init__(self) -> None:
        self._ordered = array("q")
        self._total = 0
        self._below = 0
        """The sum of the lower half; of an odd number, without the one in the middle."""
        self._squares = 0

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, value: int) -> None:
        """Take one value in."""
        half, place = len(self._ordered) // 2, bisect_right(self._ordered, value)
        self._ordered.insert(place, value)
        self._total += value
        self._squares += value * value
        if place < half:
            self._below += value
            half += 1
        self._move_middle(half)

    def remove(self, value: int) -> None:
        """Let one value go; it has to be there."""
        half, place = len(self._ordered) // 2, bisect_left(self._ordered, value)
        del self._ordered[place]
        self._total -= value
        self._squares -= value * value
        if place < half:
            self._below -= value
            half -= 1
        self._move_middle(half)

    def _move_middle(self, summed: int) -> None:
        """So many of the lowest are summed now: at most one more or less than the half of them."""
        half = len(self._ordered) // 2
        if summed < half:
            self._below += self._ordered[summed]
        elif summed > half:
            self._below -= self._ordered[half]

    def spread(self, *, robust: bool) -> tuple[float, float]:
        """Center and deviation in `LOG_UNIT`; needs two values.

        Either mean and sample deviation, or the median and the greater of the scaled median and mean absolute
        deviations: where many values are alike, the median one alone is next to nothing.
        """
        return self._robust_spread() if robust else self._plain_spread()

    def _robust_spread(self) -> tuple[float, float]:
        ordered, count = self._ordered, len(self._ordered)
        middle = count // 2
        if count % 2:
            center: float = ordered[middle]
            radius: float = self._radius(center, middle + 1)
            distances = self._total - 2 * self._below - ordered[middle]
        else:
            center = (ordered[middle - 1] + ordered[middle]) / 2
            radius = (self._radius(center, middle) + self._radius(center, middle + 1)) / 2
            distances = self._total - 2 * self._below
        return center, max(MAD_TO_DEVIATION * radius, MEAN_TO_DEVIATION * distances / count)

    def _radius(self, center: float, count: int) -> float:
        """How far from `center` the `count` nearest values reach; they stand side by side."""
        ordered = self._ordered
        low, high = 0, len(ordered) - count
        while low < high:
            first = (low + high) // 2
            if center - ordered[first] > ordered[first + count] - center:
                low = first + 1
            else:
                high = first
        return max(center - ordered[low], ordered[low + count - 1] - center)

    def _plain_spread(self) -> tuple[float, float]:
        count = len(self._ordered)
        variance = (count * self._squares - self._total * self._total) / (count * (count - 1))
        return self._total / count, math.sqrt(variance)
