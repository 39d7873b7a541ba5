"""Many trades at once: JSON values as columns of integers, without an object for each trade.

Whoever publishes with `market.codec.encode_trade` writes one form: a beginning that depends on the symbol, three
numbers, and one of a few ends:

    {"exchange":"binance","symbol":"BTC-USDT","trade_id":"   1234567   ","price":"   27000.1   ","qty":"   0.001
    ","side":"buy","time_us":1700000000000000,"received_us":1700000000000000,"source":"ws"}

Values in that form (the source may be missing), with numbers of up to 16 digits and well within the limits of a trade,
are read here, all together, in some dozens of array operations. All other values are marked as not valid.
`decode_trade` alone decides what a trade is, and a test compares the two.
How: `market.value_text`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson

from market.limits import TURNOVER
from market.trade import Side, Source
from market.value_text import TIME_US, Bools, Ints, Patterns, ValueText, distance

_SIDES = [f'","side":"{side}","time_us":' for side in Side]
_SOURCES = [*(f',"received_us":{TIME_US},"source":"{source}"}}' for source in Source), f',"received_us":{TIME_US}}}']
_SIDE_BYTES: Ints = np.array([len(side) for side in _SIDES])
_SOURCE_BYTES: Ints = np.array([len(source) for source in _SOURCES])
_USUAL_SOURCE = list(Source).index(Source.WS)
"""Of a trade that names no source."""
_ENDING_BYTES = int(_SIDE_BYTES.max() + len(TIME_US) + _SOURCE_BYTES.max()) + 7 & ~7


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
        self._patterns = Patterns([])

    def add(self, exchange: str, symbol: str) -> int:
        """Make a symbol known; returns its number, which `read` takes."""
        # As JSON writes them: of a name with a quote in it the plain text would be another name's.
        self._heads.append(b'{"exchange":%b,"symbol":%b,"trade_id":"' % (orjson.dumps(exchange), orjson.dumps(symbol)))
        return len(self._heads) - 1

    def read(self, values: Sequence[bytes], symbols: Ints) -> TradeColumns:
        """The trades of these values; `symbols` has the number of each value's symbol."""
        if len(self._patterns.lengths) != len(self._heads):
            self._patterns = Patterns(self._heads)
        text = ValueText(values)
        ends, heads_at = text.ends, text.begins
        text.expect(heads_at, self._patterns, symbols)
        source = _SOURCE_BY_LETTER[text.bytes[ends - 3]]
        times_end = ends - _SOURCE_BYTES[source]
        times_at = times_end - len(TIME_US)
        side = _SIDE_BY_LETTER[text.bytes[times_at - len('y","time_us":')]]
        text.expect(ends - _ENDING_BYTES, _ENDINGS, len(Side) * source + side)
        times_us = text.time(times_at)
        received_us = text.time(times_end + len(',"received_us":'))
        ids_at = heads_at + self._patterns.lengths[symbols]
        ids_end = ids_at + distance(text.words(ids_at, 3).T, b'"')
        ids = text.integer(ids_at, ids_end)
        prices_at, words = text.step_over(ids_end, b'","price":"')
        prices_end = prices_at + distance(words, b'"')
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


def _no_zeros_behind(numbers: Ints, digits: Ints) -> Bools:
    """Whether the decimals end without a zero behind the point."""
    ends_without: Bools = (numbers % 10 != 0) | (digits == 0)
    return ends_without


def _by_letter(letters: dict[str, int]) -> Ints:
    table = np.zeros(256, np.int64)
    for letter, number in letters.items():
        table[ord(letter)] = number
    return table


_ENDINGS = Patterns([(side + TIME_US + source).encode() for source in _SOURCES for side in _SIDES], end=True)
_SOURCE_BY_LETTER = _by_letter(
    {source[-1]: number for number, source in enumerate(Source)} | dict.fromkeys("0123456789", len(Source))
)
_SIDE_BY_LETTER = _by_letter({side[-1]: number for number, side in enumerate(Side)})
