"""What windows hold of some places, of many markets at once: the algebra of `processors.rolling.sliding` on columns.

A part is a column of whole numbers, by the rows named here; the axes behind the first are markets and places. Squared
returns stand apart, in three rows of their own: two for the sum, because 64 bits do not hold it, and how many they are.
"""

import numpy as np

from market.candle_columns import NUMBERS
from market.value_text import Bools, Ints
from processors.rolling.sliding import NEAR, SQUARE_UNIT, squared_return

OPEN, CLOSE, LOW, HIGH, REVISION, RANK, COUNT, VOLUME, QUOTE_VOLUME, TAKER_BUY_VOLUME, TRADES = range(11)
ROWS = 11
_GREATEST_OF, _SUMS = slice(HIGH, RANK + 1), slice(COUNT, TRADES + 1)
_ADDED = slice(VOLUME, TRADES + 1)
_NUMBERS_GREATEST = [NUMBERS.index(name) for name in ("high", "revision", "rank")]
_NUMBERS_ADDED = [NUMBERS.index(name) for name in ("volume", "quote_volume", "taker_buy_volume", "trades")]
_NO_LOW = 2**63 - 1
_LIMB = 2.0**40
LIMB = 1 << 40
"""A sum of squares is the first row times this and the second row."""
_EXACT = 1 << 53
"""Up to here each whole number is a float."""
MOST = 1 << 54
"""If no place of a block, and no block, has a greater sum than this, no window's sum goes beyond 64 bits."""


def empty_parts(*shape: int) -> Ints:
    """Parts of no places."""
    parts = np.zeros((ROWS, *shape), np.int64)
    parts[_GREATEST_OF] = -1
    parts[LOW] = _NO_LOW
    return parts


def parts_of(present: Bools, numbers: Ints) -> Ints:
    """Each place as a part; `numbers` are `NUMBERS`, 0 where no place is present."""
    parts = np.empty((ROWS, *present.shape), np.int64)
    parts[OPEN], parts[CLOSE], parts[COUNT] = numbers[NUMBERS.index("open")], numbers[NUMBERS.index("close")], present
    parts[LOW] = np.where(present, numbers[NUMBERS.index("low")], _NO_LOW)
    parts[_GREATEST_OF] = np.where(present, numbers[_NUMBERS_GREATEST], -1)
    parts[_ADDED] = numbers[_NUMBERS_ADDED]
    return parts


def both_parts(before: Ints, behind: Ints) -> Ints:
    """Two parts that follow each other as one."""
    parts = np.empty(before.shape, np.int64)
    parts[OPEN] = np.where(before[COUNT] > 0, before[OPEN], behind[OPEN])
    parts[CLOSE] = np.where(behind[COUNT] > 0, behind[CLOSE], before[CLOSE])
    np.minimum(before[LOW], behind[LOW], out=parts[LOW])
    np.maximum(before[_GREATEST_OF], behind[_GREATEST_OF], out=parts[_GREATEST_OF])
    np.add(before[_SUMS], behind[_SUMS], out=parts[_SUMS])
    return parts


def joined_parts(parts: Ints) -> Ints:
    """All places of the last axis as one part."""
    is_there = parts[COUNT] > 0
    first, last = is_there.argmax(-1)[..., None], (is_there.shape[-1] - 1 - is_there[..., ::-1].argmax(-1))[..., None]
    joined = np.empty(parts.shape[:-1], np.int64)
    joined[OPEN] = np.take_along_axis(parts[OPEN], first, -1)[..., 0]
    joined[CLOSE] = np.take_along_axis(parts[CLOSE], last, -1)[..., 0]
    joined[LOW] = parts[LOW].min(-1)
    joined[_GREATEST_OF] = parts[_GREATEST_OF].max(-1)
    joined[_SUMS] = parts[_SUMS].sum(-1)
    return joined


def parts_before(parts: Ints) -> Ints:
    """At each place, and behind the last one, all places before it as one part."""
    places = np.arange(parts.shape[-1])
    is_there = parts[COUNT] > 0
    before = empty_parts(*parts.shape[1:-1], parts.shape[-1] + 1)
    first = np.minimum.accumulate(np.where(is_there, places, places[-1]), -1)
    last = np.maximum.accumulate(np.where(is_there, places, 0), -1)
    before[OPEN, ..., 1:] = np.take_along_axis(parts[OPEN], first, -1)
    before[CLOSE, ..., 1:] = np.take_along_axis(parts[CLOSE], last, -1)
    before[LOW, ..., 1:] = np.minimum.accumulate(parts[LOW], -1)
    before[_GREATEST_OF, ..., 1:] = np.maximum.accumulate(parts[_GREATEST_OF], -1)
    before[_SUMS, ..., 1:] = np.cumsum(parts[_SUMS], -1)
    return before


def parts_from(parts: Ints) -> Ints:
    """At each place, and behind the last one, it and all places behind it as one part."""
    backwards = parts[..., ::-1].copy()
    backwards[[OPEN, CLOSE]] = backwards[[CLOSE, OPEN]]
    behind = parts_before(backwards)[..., ::-1]
    behind[[OPEN, CLOSE]] = behind[[CLOSE, OPEN]]
    return behind


def squares_between(has_before: Bools, before: Ints, has_behind: Bools, behind: Ints) -> Ints:
    """The squared returns from closes to closes, as `squared_return`; 0, and not counted, where one is missing."""
    squares = np.zeros((3, *before.shape), np.int64)
    is_there = has_before & has_behind
    change, total = behind - before, np.where(is_there, behind + before, 1)
    x = change / total
    y = x * x
    log = 2 * x * (1 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y / 11)))))
    square = np.where(is_there, np.rint(log * log * SQUARE_UNIT), 0.0)
    high = np.floor(square / _LIMB)
    squares[0], squares[1], squares[2] = high, square - high * _LIMB, is_there
    is_far = is_there & ((np.abs(x) >= NEAR) | (total >= _EXACT))
    for place in zip(*np.nonzero(is_far), strict=True):
        squares[0][place], squares[1][place] = divmod(squared_return(int(before[place]), int(behind[place])), LIMB)
    return squares
