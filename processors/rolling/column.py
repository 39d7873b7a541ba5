"""Columns of a day's values, four or eight bytes each: so a day of thousands of symbols fits into memory."""

from array import array
from decimal import Decimal

from market.decimals import EXACT
from market.trade import numeric_id

_LIMB_BITS = 31  # a limb takes four bytes, and most prices and sizes need one
_LIMB_MASK = (1 << _LIMB_BITS) - 1
_NO_ID = -1
_TEXT_ID = -2


class Column:
    """Unsigned decimals as whole multiples of 10^-scale, in as many 31-bit limbs as the greatest of them needs.

    A column grows to the greatest index that was set; a value that was never set is 0.
    """

    __slots__ = ("_limbs", "_scale")

    def __init__(self) -> None:
        self._scale = 0
        self._limbs = [array("i")]

    def __len__(self) -> int:
        return len(self._limbs[0])

    def __getitem__(self, index: int) -> Decimal:
        return self._decimal(sum(limb[index] << _LIMB_BITS * n for n, limb in enumerate(self._limbs)))

    def put(self, index: int, value: Decimal) -> None:
        """Set the value at `index`."""
        number = self._whole(value)
        for limb in self._limbs:
            lengthen(limb, index + 1)
            limb[index] = number & _LIMB_MASK
            number >>= _LIMB_BITS

    def total(self, since: int, until: int) -> Decimal:
        """The exact sum of the values from `since` to before `until`."""
        return self._decimal(sum(sum(limb[since:until]) << _LIMB_BITS * n for n, limb in enumerate(self._limbs)))

    def greatest(self, since: int, until: int) -> Decimal:
        """The greatest value from `since` to before `until`; there must be one."""
        return self._decimal(max(self._numbers(since, until)))

    def least(self, since: int, until: int) -> Decimal:
        """The least value from `since` to before `until`; there must be one."""
        return self._decimal(min(self._numbers(since, until)))

    def _whole(self, value: Decimal) -> int:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > self._scale:
            self._rescale(-exponent)
        number = int(value.scaleb(self._scale, EXACT))
        while number >> _LIMB_BITS * len(self._limbs):
            self._limbs.append(array("i", bytes(self._limbs[0].itemsize * len(self))))
        return number

    def _rescale(self, scale: int) -> None:
        numbers = [number * 10 ** (scale - self._scale) for number in self._numbers(0, len(self))]
        self._scale = scale
        limbs = max(1, -(-max(numbers, default=0).bit_length() // _LIMB_BITS))
        self._limbs = [array("i", (number >> _LIMB_BITS * n & _LIMB_MASK for number in numbers)) for n in range(limbs)]

    def _numbers(self, since: int, until: int) -> "array[int] | list[int]":
        if len(self._limbs) == 1:
            return self._limbs[0][since:until]
        slices = [limb[since:until] for limb in self._limbs]
        return [sum(part << _LIMB_BITS * n for n, part in enumerate(parts)) for parts in zip(*slices, strict=True)]

    def _decimal(self, number: int) -> Decimal:
        return Decimal(number).scaleb(-self._scale, EXACT)


class IdColumn:
    """Trade ids or None: plain numbers are kept as numbers, other ids as texts."""

    __slots__ = ("_numbers", "_texts")

    def __init__(self) -> None:
        self._numbers = array("q")
        self._texts: dict[int, str] = {}

    def __getitem__(self, index: int) -> str | None:
        number = self._numbers[index]
        if number == _TEXT_ID:
            return self._texts[index]
        return None if number == _NO_ID else str(number)

    def put(self, index: int, trade_id: str | None) -> None:
        """Set the id at `index`."""
        lengthen(self._numbers, index + 1)
        self._texts.pop(index, None)
        number = _NO_ID if trade_id is None else numeric_id(trade_id)
        self._numbers[index] = _TEXT_ID if number is None else number
        if trade_id is not None and number is None:
            self._texts[index] = trade_id

    def first(self, since: int, until: int) -> str | None:
        """The first id from `since` to before `until`."""
        return next((self[index] for index in range(since, until) if self._numbers[index] != _NO_ID), None)

    def last(self, since: int, until: int) -> str | None:
        """The last id from `since` to before `until`."""
        return next((self[index] for index in range(until - 1, since - 1, -1) if self._numbers[index] != _NO_ID), None)


def lengthen(values: "array[int]", length: int) -> None:
    """Fill `values` up with zeros to `length`, if shorter."""
    if (missing := length - len(values)) > 0:
        values.frombytes(bytes(values.itemsize * missing))
