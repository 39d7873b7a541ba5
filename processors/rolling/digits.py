"""Decimals as texts, many at once: columns of whole numbers to columns of bytes, without an object for each number.

A number stands in a slot, in which bytes that are not part of its text are 0. Whoever has put slots and the texts
between them side by side takes the zeros out, and what is left is the text. All slots of a column have one width, so
many words of four digits as the longest number needs.
"""

import numpy as np
from numpy.typing import NDArray

from market.value_text import POWERS, Bools, Ints

Slots = NDArray[np.uint8]
"""The last axis is that of the bytes, the others those of the numbers."""
WHOLE_LIMIT = 10**16
FRACTION_DIGITS = 18

_WORD = 4
_UNIT, _HUNDRED = np.uint64(10**_WORD), np.uint64(100)
_FOURS = np.frombuffer(b"".join(b"%04d" % number for number in range(10**_WORD)), "<u4")
_HALVINGS = [(digits, np.uint64(10**digits)) for digits in (16, 8, 4, 2, 1)]


def _masks(words: int, *, at_end: bool) -> NDArray[np.uint32]:
    """By how many digits are kept, at the end or at the beginning: which bytes of so many words."""
    keep = [[0xFF * (place < count) for place in range(_WORD * words)] for count in range(_WORD * words + 1)]
    return np.array([row[::-1] if at_end else row for row in keep], np.uint8).view("<u4")


_WHOLE_MASKS = [_masks(words, at_end=True) for words in range(5)]
_FRACTION_MASKS = [_masks(words, at_end=False) for words in range(6)]


def whole_slots(numbers: Ints) -> Slots:
    """Numbers from 0 on, below `WHOLE_LIMIT`."""
    flat = numbers.reshape(-1)
    words = _words(len(str(flat.max(initial=0))))
    counts = np.maximum(np.searchsorted(POWERS, flat, side="right"), 1)
    return (_fours(flat, words) & _WHOLE_MASKS[words][counts]).view(np.uint8).reshape(*numbers.shape, -1)


def fraction_slots(fractions: Ints, places: int) -> Slots:
    """Multiples of 10^-18 below 1, none of which has more than so many places; with their point, or as nothing."""
    words = _words(places)
    counted = min(_WORD * words, FRACTION_DIGITS)
    flat = fractions.reshape(-1) // POWERS[FRACTION_DIGITS - counted]
    kept = np.maximum(counted - _zeros_behind(flat), 0)
    slots = np.empty((len(flat), 1 + _WORD * words), np.uint8)
    slots[:, 0] = (kept > 0) * ord(".")
    slots[:, 1:] = (_fours(flat, words) & _FRACTION_MASKS[words][kept]).view(np.uint8)
    return slots.reshape(*fractions.shape, -1)


def sign_slots(is_negative: Bools) -> Slots:
    """A minus or nothing."""
    return (is_negative * np.uint8(ord("-")))[..., None]


def _words(digits: int) -> int:
    return -(-digits // _WORD)


def _fours(numbers: Ints, words: int) -> NDArray[np.uint32]:
    """All digits of numbers, in so many words; five words have two digits more than the numbers, and end with zeros."""
    digits = np.empty((len(numbers), words), np.uint32)
    rest = numbers.view(np.uint64)
    if words == len(_FRACTION_MASKS) - 1:
        words, rest = words - 1, rest // _HUNDRED
        digits[:, words] = _FOURS[(numbers - rest.view(np.int64) * 100) * 100]
    for word in reversed(range(1, words)):
        quotient = rest // _UNIT
        digits[:, word] = _FOURS[(rest - quotient * _UNIT).view(np.int64)]
        rest = quotient
    if words:
        digits[:, 0] = _FOURS[rest.view(np.int64)]
    return digits


def _zeros_behind(numbers: Ints) -> Ints:
    """How many zeros numbers end with; 31 of 0."""
    zeros, rest = np.zeros(len(numbers), np.int64), numbers.view(np.uint64)
    for digits, unit in _HALVINGS:
        quotient = rest // unit
        is_multiple = quotient * unit == rest
        rest = np.where(is_multiple, quotient, rest)
        zeros += digits * is_multiple
    return zeros
