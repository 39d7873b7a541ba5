"""JSON values in one buffer, read all together: a step of reading is some array operations over all values.

The values stand behind one another. From a place in each value, rows of eight-byte words are copied out. "Is this text
the expected one", "how far is the next quote" and "the number of these digits" are then arithmetic on columns of such
words (SWAR: SIMD within a register).
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from market.fields import MAX_TIME_US

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_DIGITS = 16
DIGIT = "\1"
"""In a pattern: any digit."""
TIME_US = 16 * DIGIT
_LEAST_TIME_US = 10 ** (len(TIME_US) - 1)
"""Less, in sixteen digits, would begin with a zero, which JSON does not allow."""
_EACH_BYTE, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ZEROS, _ABOVE_NINE = _EACH_BYTE * np.uint64(ord("0")), _EACH_BYTE * np.uint64(0x80 - 10)
_LAST_BYTES = np.array([(2**64 - 1) << 8 * (8 - n) & (2**64 - 1) for n in range(9)], np.uint64)
POWERS: Ints = 10 ** np.arange(19, dtype=np.int64)
_MARGIN = bytes(4096)
"""Stands before the first value and after the last: a value of another form never leads outside of the buffer."""


class Patterns:
    """Texts that a value may begin or end with, as rows of words; `DIGIT` stands for any digit."""

    def __init__(self, texts: Sequence[bytes], *, end: bool = False) -> None:
        self.lengths: Ints = np.array([len(text) for text in texts], np.int64)
        self.width = -(-int(self.lengths.max(initial=1)) // 8)
        pad = bytes.rjust if end else bytes.ljust
        padded = [pad(text, 8 * self.width, b"\0") for text in texts]
        self.rows = _rows(padded, bytes.maketrans(DIGIT.encode(), b"0"))
        # By how much each byte may differ: not at all, by up to nine (a digit), or by anything (outside of the text).
        # It is written as the number whose sum with any greater difference is above 0x7f.
        leeway = bytes.maketrans(bytes(range(256)), bytes([0, 0x80 - 10, *[0x7F] * 254]))
        self.leeway = _rows(padded, leeway)


class ValueText:
    """All values in one buffer; every step clears `valid` for the values that are not as the step expects.

    A number can be read from several places of each value in one step: from all the first places, then from all the
    second ones, and so on.
    """

    def __init__(self, values: Sequence[bytes]) -> None:
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self.ends: Ints = np.cumsum(lengths) + len(_MARGIN)
        self.begins: Ints = self.ends - lengths
        self._buffer = b"".join((_MARGIN, *values, _MARGIN))
        self.bytes = np.frombuffer(self._buffer, np.uint8)
        self.valid: Bools = np.ones(len(values), np.bool_)

    def _require(self, condition: Bools) -> None:
        """What is not so is not valid; of several conditions for each value, all have to be so."""
        self.valid &= condition if len(condition) == len(self.valid) else condition.reshape(-1, len(self.valid)).all(0)

    def words(self, offsets: Ints, count: int) -> Words:
        """The words from these places on, one row for each place: copying a row costs less than reading each word."""
        rows = np.ndarray((len(self._buffer) - 8 * count + 1,), f"V{8 * count}", self._buffer, strides=(1,))
        return rows[offsets].view(np.uint64).reshape(-1, count)

    def expect(self, offsets: Ints, patterns: Patterns, which: Ints | int = 0) -> None:
        """Check that at each place stands the pattern with the number in `which`."""
        differs = self.words(offsets, patterns.width) ^ patterns.rows[which]
        differs |= differs + patterns.leeway[which]
        self.valid &= reduce(np.bitwise_or, differs.T) & _HIGH_BITS == 0

    def step_over(self, offsets: Ints, literal: bytes) -> tuple[Ints, Words]:
        """Check that these nine to sixteen bytes stand here; returns the places after them and the next three words."""
        words = self.words(offsets + (len(literal) - 16), 5).T
        beginning, rest = literal[:-8], literal[-8:]
        self.valid &= words[0] >> np.uint64(64 - 8 * len(beginning)) == int.from_bytes(beginning, "little")
        self.valid &= words[1] == int.from_bytes(rest, "little")
        return offsets + len(literal), words[2:]

    def integer(self, starts: Ints, ends: Ints) -> Ints:
        """The whole number that stands here, without leading zeros."""
        length = ends - starts
        self._require((length > 0) & ((self.bytes[starts] != ord("0")) | (length == 1)))
        return self._digits(ends, length)

    def time(self, offsets: Ints) -> Ints:
        """The time of sixteen digits that stands here; that they are digits, `expect` has checked."""
        words = self.words(offsets, 2).T ^ _ZEROS
        times_us = _number(words[0]) * 10**8 + _number(words[1])
        self._require((times_us >= _LEAST_TIME_US) & (times_us < MAX_TIME_US))
        return times_us

    def decimal(self, words: Words, starts: Ints, ends: Ints, most_digits: int = MAX_DIGITS) -> tuple[Ints, Ints, Ints]:
        """The plain decimal that stands here, in `words`: all its digits, how many after the point, how many before.

        At most `MAX_DIGITS` on either side of the point, and `most_digits` (up to 18) in all.
        """
        length, point = ends - starts, distance(words, b".")
        whole = np.minimum(point, length)
        behind = np.maximum(length - whole - 1, 0)
        self._require((whole > 0) & ((point > length) | (behind > 0)) & (whole + behind <= most_digits))
        number = self._digits(starts + whole, whole) * POWERS[np.minimum(behind, MAX_DIGITS)]
        return number + self._digits(ends, behind), behind, whole

    def _digits(self, end: Ints, length: Ints) -> Ints:
        """The number of the `length` digits before `end`."""
        words = self.words(end - 16, 2).T
        number = self._digits_of(words[1], np.clip(length, 0, 8))
        if (length > 8).any():  # noqa: PLR2004  # the bytes of a word
            self._require(length <= MAX_DIGITS)
            number += self._digits_of(words[0], np.clip(length - 8, 0, 8)) * 10**8
        return number

    def _digits_of(self, word: Words, length: Ints) -> Ints:
        """The number of the last `length` bytes of the word."""
        digits = (word ^ _ZEROS) & _LAST_BYTES[length]
        self._require(((digits + _ABOVE_NINE) | digits) & _HIGH_BITS == 0)
        return _number(digits)


def _number(digits: Words) -> Ints:
    """The number whose digits, the first in the lowest byte, are the bytes of the word."""
    pairs = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    return ((fours * np.uint64(10_000) + (fours >> np.uint64(32))) & np.uint64(0xFFFFFFFF)).view(np.int64)


def distance(words: Words, byte: bytes) -> Ints:
    """How far into these words the byte first stands; the whole length of the words if it is not in them."""
    distance = _distance_in(words[0], byte)
    for number in range(1, len(words)):
        beyond = distance == 8 * number
        if not beyond.any():
            break
        distance += beyond * _distance_in(words[number], byte)
    return distance


def _distance_in(word: Words, byte: bytes) -> Ints:
    zeroed = word ^ (_EACH_BYTE * np.uint64(byte[0]))
    marks = (zeroed - _EACH_BYTE) & ~zeroed & _HIGH_BITS  # the lowest mark is on the first zero byte
    return (np.bitwise_count((marks - np.uint64(1)) & ~marks) >> 3).astype(np.int64)


def _rows(texts: Sequence[bytes], table: bytes) -> Words:
    width = len(texts[0]) // 8 if texts else 0
    return np.frombuffer(b"".join(texts).translate(table), "<u8").reshape(-1, width or 1)
