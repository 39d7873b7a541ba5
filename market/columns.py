"""Many trades at once: JSON values as columns of integers, without an object for each trade.

Whoever publishes with `market.codec.encode_trade` writes one form: a beginning that depends on the symbol, three
numbers, and one of a few ends:

    {"exchange":"binance","symbol":"BTC-USDT","trade_id":"   1234567   ","price":"   27000.1   ","qty":"   0.001
    ","side":"buy","time_us":1700000000000000,"received_us":1700000000000000,"source":"ws"}

Values in that form (the source may be missing), with numbers of up to 16 digits and well within the limits of a trade,
are read here, all together, in some dozens of array operations. All other values are marked as not valid.
`decode_trade` alone decides what a trade is, and a test compares the two.

How: the values stand in one buffer. From a place in each value, rows of eight-byte words are copied out. "Is this text
the expected one", "how far is the next quote" and "the number of these digits" are then arithmetic on columns of such
words (SWAR: SIMD within a register).
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from market.fields import MAX_TIME_US
from market.limits import TURNOVER
from market.trade import Side, Source

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_DIGITS = 16
_EACH_BYTE, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ZEROS, _ABOVE_NINE = _EACH_BYTE * np.uint64(ord("0")), _EACH_BYTE * np.uint64(0x80 - 10)
_LAST_BYTES = np.array([(2**64 - 1) << 8 * (8 - n) & (2**64 - 1) for n in range(9)], np.uint64)
_POWERS: Ints = 10 ** np.arange(MAX_DIGITS + 1, dtype=np.int64)

_DIGIT = "\1"
_TIME = 16 * _DIGIT
_LEAST_TIME_US = 10 ** (len(_TIME) - 1)
"""Less, in sixteen digits, would begin with a zero, which JSON does not allow."""
_SIDES = [f'","side":"{side}","time_us":' for side in Side]
_SOURCES = [*(f',"received_us":{_TIME},"source":"{source}"}}' for source in Source), f',"received_us":{_TIME}}}']
_SIDE_BYTES: Ints = np.array([len(side) for side in _SIDES])
_SOURCE_BYTES: Ints = np.array([len(source) for source in _SOURCES])
_USUAL_SOURCE = list(Source).index(Source.WS)
"""Of a trade that names no source."""
_ENDING_BYTES = int(_SIDE_BYTES.max() + len(_TIME) + _SOURCE_BYTES.max()) + 7 & ~7
_MARGIN = bytes(1024)
"""Stands before the first value and after the last: a value that is no trade never leads outside of the buffer."""


class TradeColumns(NamedTuple):
    """Trades in parallel columns; where `valid` is False the other columns say nothing.

    A price is `prices` / 10^`price_digits` in quote units, a size `qtys` / 10^`qty_digits` in base units. A source is
    its place in `market.trade.Source`. Where `canonical` is True, the value is what `encode_trade` makes of the trade.
    """

    valid: Bools
    ids: Ints
    prices: Ints
    price_digits: Ints
    qtys: Ints
    qty_digits: Ints
    buys: Bools
    times_us: Ints
    received_us: Ints
    sources: Ints
    canonical: Bools

    def chosen(self, those: Bools) -> "TradeColumns":
        """The trades that are marked so."""
        return TradeColumns._make(column[those] for column in self)


class TradeReader:
    """Reads values of `md.trades.v1`; the symbol of each record's key must have been added before."""

    def __init__(self) -> None:
        self._heads: list[bytes] = []
        self._patterns = _Patterns([])

    def add(self, exchange: str, symbol: str) -> int:
        """Make a symbol known; returns its number, which `read` takes."""
        # As JSON writes them: of a name with a quote in it the plain text would be another name's.
        self._heads.append(b'{"exchange":%b,"symbol":%b,"trade_id":"' % (orjson.dumps(exchange), orjson.dumps(symbol)))
        return len(self._heads) - 1

    def read(self, values: Sequence[bytes], symbols: Ints) -> TradeColumns:
        """The trades of these values; `symbols` has the number of each value's symbol."""
        if len(self._patterns.lengths) != len(self._heads):
            self._patterns = _Patterns(self._heads)
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        ends = np.cumsum(lengths) + len(_MARGIN)
        text = _Text(b"".join((_MARGIN, *values, _MARGIN)), len(values))
        heads_at = ends - lengths
        text.expect(heads_at, self._patterns, symbols)
        source = _SOURCE_BY_LETTER[text.bytes[ends - 3]]
        times_end = ends - _SOURCE_BYTES[source]
        times_at = times_end - len(_TIME)
        side = _SIDE_BY_LETTER[text.bytes[times_at - len('y","time_us":')]]
        text.expect(ends - _ENDING_BYTES, _ENDINGS, len(Side) * source + side)
        times_us = text.time(times_at)
        received_us = text.time(times_end + len(',"received_us":'))
        ids_at = heads_at + self._patterns.lengths[symbols]
        ids_end = ids_at + _distance(text.words(ids_at, 3).T, b'"')
        ids = text.integer(ids_at, ids_end)
        prices_at, words = text.step_over(ids_end, b'","price":"')
        prices_end = prices_at + _distance(words, b'"')
        prices, price_digits, price_whole = text.decimal(words, prices_at, prices_end)
        qtys_at, words = text.step_over(prices_end, b'","qty":"')
        qtys, qty_digits, qty_whole = text.decimal(words, qtys_at, times_at - _SIDE_BYTES[side])
        # Judged by the number of digits alone: a trade with more digits may still be within the limits.
        text.valid &= (prices > 0) & (qtys > 0) & (price_whole + qty_whole <= TURNOVER.whole)
        text.valid &= price_digits + qty_digits <= TURNOVER.places
        sources = np.where(source < len(Source), source, _USUAL_SOURCE)
        canonical = text.valid & (source < len(Source)) & _no_zeros_behind(prices, price_digits)
        canonical &= _no_zeros_behind(qtys, qty_digits)
        amounts = (prices, price_digits, qtys, qty_digits)
        return TradeColumns(text.valid, ids, *amounts, side == 0, times_us, received_us, sources, canonical)


class _Patterns:
    """Texts that a value may begin or end with, as rows of words; `_DIGIT` stands for any digit."""

    def __init__(self, texts: Sequence[bytes], *, end: bool = False) -> None:
        self.lengths: Ints = np.array([len(text) for text in texts], np.int64)
        self.width = -(-int(self.lengths.max(initial=1)) // 8)
        pad = bytes.rjust if end else bytes.ljust
        padded = [pad(text, 8 * self.width, b"\0") for text in texts]
        self.rows = _rows(padded, bytes.maketrans(_DIGIT.encode(), b"0"))
        # By how much each byte may differ: not at all, by up to nine (a digit), or by anything (outside of the text).
        # It is written as the number whose sum with any greater difference is above 0x7f.
        leeway = bytes.maketrans(bytes(range(256)), bytes([0, 0x80 - 10, *[0x7F] * 254]))
        self.leeway = _rows(padded, leeway)


class _Text:
    """All values in one buffer; every step clears `valid` for the values that are not as the step expects."""

    def __init__(self, buffer: bytes, count: int) -> None:
        self._buffer = buffer
        self.bytes = np.frombuffer(buffer, np.uint8)
        self.valid: Bools = np.ones(count, np.bool_)

    def words(self, offsets: Ints, count: int) -> Words:
        """The words from these places on, one row for each place: copying a row costs less than reading each word."""
        rows = np.ndarray((len(self._buffer) - 8 * count + 1,), f"V{8 * count}", self._buffer, strides=(1,))
        return rows[offsets].view(np.uint64).reshape(-1, count)

    def expect(self, offsets: Ints, patterns: _Patterns, which: Ints) -> None:
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
        self.valid &= (length > 0) & ((self.bytes[starts] != ord("0")) | (length == 1))
        return self._digits(ends, length)

    def time(self, offsets: Ints) -> Ints:
        """The time of sixteen digits that stands here; that they are digits, `expect` has checked."""
        words = self.words(offsets, 2).T ^ _ZEROS
        times_us = _number(words[0]) * 10**8 + _number(words[1])
        self.valid &= (times_us >= _LEAST_TIME_US) & (times_us < MAX_TIME_US)
        return times_us

    def decimal(self, words: Words, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
        """The plain decimal that stands here, in `words`: all its digits, how many after the point, how many before."""
        length, point = ends - starts, _distance(words, b".")
        whole = np.minimum(point, length)
        behind = np.maximum(length - whole - 1, 0)
        self.valid &= (whole > 0) & ((point > length) | (behind > 0)) & (whole + behind <= MAX_DIGITS)
        number = self._digits(starts + whole, whole) * _POWERS[np.minimum(behind, MAX_DIGITS)]
        return number + self._digits(ends, behind), behind, whole

    def _digits(self, end: Ints, length: Ints) -> Ints:
        """The number of the `length` digits before `end`."""
        words = self.words(end - 16, 2).T
        number = self._digits_of(words[1], np.clip(length, 0, 8))
        if (length > 8).any():  # noqa: PLR2004  # the bytes of a word
            self.valid &= length <= MAX_DIGITS
            number += self._digits_of(words[0], np.clip(length - 8, 0, 8)) * 10**8
        return number

    def _digits_of(self, word: Words, length: Ints) -> Ints:
        """The number of the last `length` bytes of the word."""
        digits = (word ^ _ZEROS) & _LAST_BYTES[length]
        self.valid &= ((digits + _ABOVE_NINE) | digits) & _HIGH_BITS == 0
        return _number(digits)


def _no_zeros_behind(numbers: Ints, digits: Ints) -> Bools:
    """Whether the decimals end without a zero behind the point."""
    ends_without: Bools = (numbers % 10 != 0) | (digits == 0)
    return ends_without


def _number(digits: Words) -> Ints:
    """The number whose digits, the first in the lowest byte, are the bytes of the word."""
    pairs = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    return ((fours * np.uint64(10_000) + (fours >> np.uint64(32))) & np.uint64(0xFFFFFFFF)).view(np.int64)


def _distance(words: Words, byte: bytes) -> Ints:
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


def _by_letter(letters: dict[str, int]) -> Ints:
    table = np.zeros(256, np.int64)
    for letter, number in letters.items():
        table[ord(letter)] = number
    return table


_ENDINGS = _Patterns([(side + _TIME + source).encode() for source in _SOURCES for side in _SIDES], end=True)
_SOURCE_BY_LETTER = _by_letter(
    {source[-1]: number for number, source in enumerate(Source)} | dict.fromkeys("0123456789", len(Source))
)
_SIDE_BY_LETTER = _by_letter({side[-1]: number for number, side in enumerate(Side)})
