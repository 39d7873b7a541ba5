"""A column of exact decimals, eight bytes a value: a day of minutes for thousands of symbols fits into memory."""

from array import array
from decimal import Decimal

from market.decimals import EXACT

_LIMB_BITS = 62
_LIMB_MASK = (1 << _LIMB_BITS) - 1


class Column:
    """Unsigned decimals as whole multiples of 10^-scale, in as many 62-bit limbs as the greatest of them needs."""

    __slots__ = ("_limbs", "_scale")

    def __init__(self) -> None:
        self._scale = 0
        self._limbs = [array("q")]

    def __len__(self) -> int:
        return len(self._limbs[0])

    def __getitem__(self, at: int) -> Decimal:
        return self._decimal(sum(limb[at] << _LIMB_BITS * n for n, limb in enumerate(self._limbs)))

    def insert(self, at: int, value: Decimal) -> None:
        """Put `value` before position `at`."""
        number = self._whole(value)
        for limb in self._limbs:
            limb.insert(at, number & _LIMB_MASK)
            number >>= _LIMB_BITS

    def replace(self, at: int, value: Decimal) -> None:
        """Put `value` in the place of the one at `at`."""
        number = self._whole(value)
        for limb in self._limbs:
            limb[at] = number & _LIMB_MASK
            number >>= _LIMB_BITS

    def drop(self, count: int) -> None:
        """Let go of the first `count` values."""
        for limb in self._limbs:
            del limb[:count]

    def total(self, since: int) -> Decimal:
        """The exact sum from position `since` to the end."""
        return self._decimal(sum(sum(limb[since:]) << _LIMB_BITS * n for n, limb in enumerate(self._limbs)))

    def greatest(self, since: int) -> Decimal:
        """The greatest value from position `since` to the end; there must be one."""
        if len(self._limbs) == 1:
            return self._decimal(max(self._limbs[0][since:]))
        return self._decimal(max(self._numbers(since)))

    def least(self, since: int) -> Decimal:
        """The least value from position `since` to the end; there must be one."""
        if len(self._limbs) == 1:
            return self._decimal(min(self._limbs[0][since:]))
        return self._decimal(min(self._numbers(since)))

    def _whole(self, value: Decimal) -> int:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > self._scale:
            self._rescale(-exponent)
        number = int(value.scaleb(self._scale, EXACT))
        while number >> _LIMB_BITS * len(self._limbs):
            self._limbs.append(array("q", bytes(8 * len(self))))
        return number

    def _rescale(self, scale: int) -> None:
        numbers = [number * 10 ** (scale - self._scale) for number in self._numbers(0)]
        self._scale = scale
        limbs = max(1, -(-max(numbers, default=0).bit_length() // _LIMB_BITS))
        self._limbs = [array("q", (number >> _LIMB_BITS * n & _LIMB_MASK for number in numbers)) for n in range(limbs)]

    def _numbers(self, since: int) -> list[int]:
        slices = [limb[since:] for limb in self._limbs]
        return [sum(part << _LIMB_BITS * n for n, part in enumerate(parts)) for parts in zip(*slices, strict=True)]

    def _decimal(self, number: int) -> Decimal:
        return Decimal(number).scaleb(-self._scale, EXACT)
