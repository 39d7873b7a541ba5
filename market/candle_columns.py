"""Many candles at once: JSON values as columns of whole numbers, without an object for each candle.

Values as `market.codec.encode_candle` writes them are read here, all together (`market.value_text`), if their amounts
have up to 18 digits and are well within the limits of a candle, their counts up to 15 and their ids up to 16. All other
values are marked as not valid. `decode_candle` alone decides what a candle is, and a test compares the two.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson

from market.candle import Status
from market.limits import PRICE
from market.timeframe import Timeframe
from market.value_text import DIGIT, POWERS, Bools, Ints, Patterns, ValueText, distance

NO_ID = -1
"""In place of an id: the candle has no trades."""
NUMBERS = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
           "trades", "revision", "rank", "first_trade_id", "last_trade_id")  # fmt: skip
"""What the rows of `CandleColumns.numbers` are."""
PRICES, VOLUMES, QUOTES = (0, 1, 2, 3), (4, 6), (5, 7)
"""Which of them are prices, volumes and quote volumes."""
_AMOUNTS = 8
_TIME_MS = 13 * DIGIT
_AMOUNT_DIGITS = 18
_MOST = 10**15
"""Counts from here on are left to the codec."""

Span = tuple[Ints, Ints]
"""Where something begins in each value, and where it ends."""


class CandleColumns(NamedTuple):
    """Candles in parallel columns; where `valid` is False the other columns say nothing."""

    valid: Bools
    open_ms: Ints
    numbers: Ints
    """`NUMBERS` of each candle, a row each. Amounts are multiples of 10^-`places`, a status is its rank."""
    places: Ints
    """How many places after the point its prices, its volumes and its quote volumes have: three rows."""


class CandleReader:
    """Reads candles of one timeframe, of a fixed length; each market must have been added before."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._length_ms = timeframe.end_ms(0)
        times = f'"open_time_ms":{_TIME_MS},"close_time_ms":{_TIME_MS}'
        self._end_of_head = f',"timeframe":"{timeframe}",{times},"open":"'.encode()
        self._heads: list[bytes] = []
        self._patterns = Patterns([])

    def add(self, exchange: str, symbol: str) -> int:
        """Make a market known; returns its number, which `read` takes."""
        # As JSON writes them: of a name with a quote in it the plain text would be another name's.
        names = orjson.dumps({"exchange": exchange, "symbol": symbol})
        self._heads.append(names.removesuffix(b"}") + self._end_of_head)
        return len(self._heads) - 1

    def read(self, values: Sequence[bytes], markets: Ints) -> CandleColumns:
        """The candles of these values; `markets` has the number of each value's market."""
        if len(self._patterns.lengths) != len(self._heads):
            self._patterns = Patterns(self._heads)
        text = ValueText(values)
        text.expect(text.begins, self._patterns, markets)
        heads_end = text.begins + self._patterns.lengths[markets]
        amounts = _amounts_behind(text, heads_end, _BEFORE_AMOUNTS[:6])
        trades = _behind(text, amounts[-1][1], _BEFORE_TRADES, b",")
        amounts += _amounts_behind(text, trades[1], _BEFORE_AMOUNTS[6:])
        first_id, ends = _id_behind(text, amounts[-1][1], _BEFORE_FIRST_ID)
        last_id, ends = _id_behind(text, ends, _BEFORE_LAST_ID)
        revision = _behind(text, ends, _BEFORE_REVISION, b",")
        open_ms, close_ms, *wholes = _wholes(text, [*_times(heads_end), trades, revision, first_id, last_id])
        text.valid &= (open_ms % self._length_ms == 0) & (close_ms == open_ms + self._length_ms - 1)
        numbers, places = _amounts(text, amounts)
        numbers[_AMOUNTS:] = *wholes[:2], _rank(text, revision[1]), *wholes[2:]
        text.valid &= (wholes[0] < _MOST) & (wholes[1] < _MOST)
        return CandleColumns(text.valid, open_ms, numbers, places)


def _behind(text: ValueText, places: Ints, literal: Patterns, end: bytes) -> Span:
    """What stands between the literal at these places and the next byte that is `end`."""
    text.expect(places, literal)
    starts = places + literal.lengths[0]
    return starts, starts + distance(text.words(starts, 3).T, end)


def _amounts_behind(text: ValueText, places: Ints, literals: Sequence[Patterns]) -> list[Span]:
    """The amounts that follow each other from these places on, each behind its literal."""
    spans: list[Span] = []
    for literal in literals:
        spans.append(_behind(text, places, literal, b'"'))
        places = spans[-1][1]
    return spans


def _id_behind(text: ValueText, places: Ints, literal: Patterns) -> tuple[Span, Ints]:
    """The id behind the literal at these places, and where the text goes on; a null is an id without digits."""
    text.expect(places, literal)
    starts = places + literal.lengths[0]
    is_null = text.bytes[starts] == ord("n")
    text.expect(starts, _NULL_OR_QUOTE, is_null.astype(np.int64))
    starts += 1
    ends = np.where(is_null, starts, starts + distance(text.words(starts, 3).T, b'"'))
    text.valid &= is_null | (ends > starts)
    return (starts, ends), ends + np.where(is_null, len("ull"), 1)


def _times(heads_end: Ints) -> list[Span]:
    """Open and close time, which end the head but for the name of the next field."""
    close_end = heads_end - len(',"open":"')
    open_end = close_end - len(f',"close_time_ms":{_TIME_MS}')
    return [(end - len(_TIME_MS), end) for end in (open_end, close_end)]


def _wholes(text: ValueText, spans: Sequence[Span]) -> Ints:
    """The whole numbers that stand there, a row for each span; of the last two, one without digits is `NO_ID`."""
    starts, ends = _stacked(spans)
    is_null = ends == starts
    is_null.reshape(len(spans), -1)[:-2] = False
    # In place of a null a digit is read that is known to be one: the last of the open time.
    known = np.tile(spans[0][1], len(spans))
    numbers = text.integer(np.where(is_null, known - 1, starts), np.where(is_null, known, ends))
    return np.where(is_null, NO_ID, numbers).reshape(len(spans), -1)


def _amounts(text: ValueText, spans: Sequence[Span]) -> tuple[Ints, Ints]:
    """`NUMBERS`, of which the amounts are read, and the places of prices, volumes and quote volumes."""
    starts, ends = _stacked(spans)
    decimals = text.decimal(text.words(starts, 3).T, starts, ends, _AMOUNT_DIGITS)
    amounts, behind, whole = (column.reshape(_AMOUNTS, -1) for column in decimals)
    numbers = np.empty((len(NUMBERS), amounts.shape[1]), np.int64)
    places = np.empty((3, amounts.shape[1]), np.int64)
    for row, fields in enumerate(map(list, (PRICES, VOLUMES, QUOTES))):
        finest = places[row] = behind[fields].max(0)
        text.valid &= whole[fields].max(0) + finest <= _AMOUNT_DIGITS
        numbers[fields] = amounts[fields] * POWERS[np.minimum(finest - behind[fields], _AMOUNT_DIGITS)]
    opened, high, low, close = numbers[list(PRICES)]
    text.valid &= (whole[list(PRICES)].max(0) <= PRICE.whole) & (low > 0)
    text.valid &= (low <= opened) & (opened <= high) & (low <= close) & (close <= high)
    return numbers, places


def _rank(text: ValueText, places: Ints) -> Ints:
    """The rank of the status at these places, with which the value has to end."""
    rank = _RANK_BY_LETTER[text.bytes[places + len(',"status":"co')]]
    text.expect(places, _STATUSES, rank)
    text.valid &= places + _STATUSES.lengths[rank] == text.ends
    return rank


def _stacked(spans: Sequence[Span]) -> Span:
    return np.concatenate([starts for starts, _ in spans]), np.concatenate([ends for _, ends in spans])


def _literal(name: str, before: str = "", opening: str = "") -> Patterns:
    return Patterns([f'{before},"{name}":{opening}'.encode()])


_BEFORE_AMOUNTS = [
    Patterns([b""]),  # the head ends where the open begins
    *(_literal(name, '"', '"') for name in NUMBERS[1:6]),
    _literal(NUMBERS[6], "", '"'),
    _literal(NUMBERS[7], '"', '"'),
]
_BEFORE_TRADES = _literal("trades", '"')
_BEFORE_FIRST_ID = _literal("first_trade_id", '"')
_BEFORE_LAST_ID = _literal("last_trade_id")
_BEFORE_REVISION = _literal("revision")
_NULL_OR_QUOTE = Patterns([b'"', b"null"])
_STATUSES = Patterns([f',"status":"{status}"}}'.encode() for status in Status])
_RANK_BY_LETTER = np.zeros(256, np.int64)
_RANK_BY_LETTER[[ord(status[2]) for status in Status]] = range(len(Status))
