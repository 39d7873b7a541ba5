"""The records of many tickers at once, with the bytes of `encode_ticker`.

Each number is a slot of digits in a table of bytes, a record a row, in which all other texts are always the same
(`processors.rolling.digits`). Tickers with numbers that 64 bits do not hold go one by one.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from market.texts import WindowTexts, encode_texts
from market.value_text import POWERS, Bools, Ints
from processors.rolling.amounts import Scale
from processors.rolling.digits import FRACTION_DIGITS, WHOLE_LIMIT, Slots, fraction_slots, sign_slots, whole_slots
from processors.rolling.steps import market_of
from processors.rolling.sums import STATUSES
from processors.rolling.ticker_texts import (
    CHANGE_PERCENT_PLACES,
    NO_VOLATILITY,
    SHARE_PLACES,
    VOLATILITY_PLACES,
    VWAP_PLACES,
    TickerNumbers,
    WindowNumbers,
    encode_ticker,
)  # fmt: skip

FEW = 200
"""So many cost less one by one."""
_BEFORE_WINDOWS = 6
"""Columns: the three places of the scale, time, whether it is live, revision."""
_GREATEST = 2**63 - 1
_MOST_DIVISOR = _GREATEST // 10


def encode_tickers(keys: Sequence[str], columns: Ints, names: Sequence[str]) -> list[bytes]:
    """The records of tickers whose windows have these names.

    `columns`: of each the places of its scale, its time, whether it is live, its revision, and its `WindowNumbers`.
    """
    fits = _fits(columns, len(names)) if len(keys) > FEW else np.zeros(len(keys), np.bool_)
    lines = iter(_lines(np.ascontiguousarray(columns[:, fits]), names)) if fits.any() else iter(())
    return [
        _head(key) + next(lines) if is_usual else encode_ticker(_numbers(key, column.tolist()), names)
        for key, column, is_usual in zip(keys, columns.T, fits.tolist(), strict=True)
    ]


def _numbers(key: str, column: Sequence[int]) -> TickerNumbers:
    price, volume, quote, time_ms, is_live, revision, *of_windows = column
    windows = [WindowNumbers(*window) for window in zip(*[iter(of_windows)] * len(WindowNumbers._fields), strict=True)]
    return TickerNumbers(key, Scale(price, volume, quote), time_ms, bool(is_live), revision, windows)


@lru_cache(maxsize=16_384)
def _head(key: str) -> bytes:
    """The record up to its time."""
    return encode_texts(market_of(key)._asdict()).removesuffix(b"}") + b',"time_ms":'


def _by_field(columns: Ints, windows: int) -> dict[str, Ints]:
    """Of the columns of many tickers, each field of a window, by window and ticker."""
    of_windows = columns[_BEFORE_WINDOWS:].reshape(windows, len(WindowNumbers._fields), -1)
    return dict(zip(WindowNumbers._fields, of_windows.transpose(1, 0, 2), strict=True))


def _fits(columns: Ints, windows: int) -> Bools:
    """Which tickers are such that 64 bits hold all that is computed of them, and slots all digits."""
    price, volume, quote = np.minimum(columns[:3], FRACTION_DIGITS)
    of = _by_field(columns, windows)
    holds = [
        columns[:3] <= FRACTION_DIGITS,
        (quote >= volume)[None],
        of["high"] // POWERS[price] < WHOLE_LIMIT,
        of["high"] <= _MOST_DIVISOR // 100,
        of["volume"] // POWERS[volume] < WHOLE_LIMIT,
        of["volume"] <= _MOST_DIVISOR,
        of["taker_buy_volume"] <= of["volume"],
        of["quote_volume"] // POWERS[quote] < WHOLE_LIMIT,
        of["quote_volume"] // np.maximum(of["volume"], 1) // POWERS[np.maximum(quote - volume, 0)] < WHOLE_LIMIT,
        of["trades"] < WHOLE_LIMIT,
        of["since_ms"] >= 0,
    ]
    return np.asarray(np.vstack(holds).all(0))


def _lines(columns: Ints, names: Sequence[str]) -> list[bytes]:
    """What stands behind the head of each ticker."""
    of, tickers = _by_field(columns, len(names)), columns.shape[1]
    wholes = {name: whole_slots(of[name]) for name in _WHOLES}
    slots = _decimals(columns, of) | wholes | {"status": _STATUSES[of["rank"]]}
    time_ms, is_live, revision = columns[3:_BEFORE_WINDOWS]
    pieces: list[Slots | bytes] = [
        whole_slots(time_ms), b',"last":"', slots["close"][-1], b'","live":', _BOOLS[is_live],
        b',"revision":', whole_slots(revision), b',"windows":',
    ]  # fmt: skip
    for number, name in enumerate(names):
        pieces += [b",%b:" % encode_texts(name) if number else b"{%b:" % encode_texts(name)]
        for place, field in enumerate(WindowTexts.__struct_fields__):
            quote = b"" if field in _WHOLES or field in _MAY_LACK else b'"'
            pieces += [b',"' if place else b'{"', field.encode(), b'":' + quote, slots[field][number], quote]
        pieces.append(b"}")
    pieces.append(b"}}\n")
    table = np.concatenate([_everywhere(piece, tickers) for piece in pieces], axis=1)
    return table.tobytes().translate(None, b"\0").split(b"\n")[:-1]


class _Fractions(NamedTuple):
    """Decimals, by window and ticker: whole part, and multiples of 10^-18 below 1."""

    whole: Ints
    fraction: Ints


def _decimals(columns: Ints, of: Mapping[str, Ints]) -> dict[str, Slots]:
    """All decimals of the windows; those that may lack with their quotes, or as null."""
    price, volume, quote = columns[:3]
    change = of["close"] - of["open"]
    has_volume = of["volume"] > 0
    some_volume = np.where(has_volume, of["volume"], 1)
    prices, volumes = int(price.max(initial=0)), int(volume.max(initial=0))
    varied = _at_places(np.maximum(of["volatility"], 0), np.full_like(price, VOLATILITY_PLACES))
    percent = _ratio(np.abs(change) * 100, of["open"], CHANGE_PERCENT_PLACES)
    share = _ratio(of["taker_buy_volume"], some_volume, SHARE_PLACES)
    vwap = _ratio(of["quote_volume"], some_volume, VWAP_PLACES, quote - volume)
    return {
        **{name: _slots(_at_places(of[name], price), prices) for name in ("open", "high", "low", "close")},
        "change": _signed_slots(change, _at_places(np.abs(change), price), prices),
        "change_percent": _signed_slots(change, percent, CHANGE_PERCENT_PLACES),
        "vwap": _or_null(_slots(vwap, VWAP_PLACES), has_volume),
        **{name: _slots(_at_places(of[name], volume), volumes) for name in ("volume", "taker_buy_volume")},
        "quote_volume": _slots(_at_places(of["quote_volume"], quote), int(quote.max(initial=0))),
        "taker_buy_share": _or_null(_slots(share, SHARE_PLACES), has_volume),
        "realised_volatility": _or_null(_slots(varied, VOLATILITY_PLACES), of["volatility"] != NO_VOLATILITY),
    }


def _slots(number: _Fractions, places: int) -> Slots:
    return np.concatenate((whole_slots(number.whole), fraction_slots(number.fraction, places)), axis=-1)


def _signed_slots(signs: Ints, number: _Fractions, places: int) -> Slots:
    is_negative = (signs < 0) & ((number.whole > 0) | (number.fraction > 0))
    return np.concatenate((sign_slots(is_negative), _slots(number, places)), axis=-1)


def _at_places(numbers: Ints, places: Ints) -> _Fractions:
    """Multiples of 10^-places."""
    whole, fraction = np.divmod(numbers, POWERS[places])
    return _Fractions(whole, fraction * POWERS[FRACTION_DIGITS - places])


def _ratio(dividend: Ints, divisor: Ints, places: int, shift: Ints | int = 0) -> _Fractions:
    """`dividend / (divisor * 10^shift)`, rounded half-even once to so many places; for divisors to `_MOST_DIVISOR`.

    It is a long division, as many digits at a time as 64 bits allow.
    """
    at_a_time = int(np.searchsorted(POWERS, _GREATEST // divisor.max(initial=1), side="right")) - 1
    whole, rest = np.divmod(dividend, divisor)
    fraction = np.zeros_like(whole)
    digits = places - np.asarray(shift)
    for begun in range(0, places, at_a_time):
        unit = POWERS[np.clip(digits - begun, 0, at_a_time)]
        more, rest = np.divmod(rest * unit, divisor)
        fraction = fraction * unit + more
    above = rest - (divisor - rest)
    last_digit = np.where(digits > 0, fraction, whole)
    fraction += (above > 0) | ((above == 0) & (last_digit % 2 == 1))
    is_one = fraction == POWERS[digits]
    whole, low = np.divmod(whole + is_one, POWERS[shift])
    fraction = low * POWERS[FRACTION_DIGITS - shift] + np.where(is_one, 0, fraction) * POWERS[FRACTION_DIGITS - places]
    return _Fractions(whole, fraction)


def _or_null(slots: Slots, is_there: Bools) -> Slots:
    """In quotes what is there, and null in place of the others."""
    quotes = np.full((*is_there.shape, 1), ord('"'), np.uint8)
    null = np.frombuffer(b"null".ljust(slots.shape[-1] + 2, b"\0"), np.uint8)
    return np.where(is_there[..., None], np.concatenate((quotes, slots, quotes), axis=-1), null)


def _everywhere(piece: Slots | bytes, rows: int) -> Slots:
    """A text as the same slot in all rows."""
    if isinstance(piece, bytes):
        return np.broadcast_to(np.frombuffer(piece, np.uint8), (rows, len(piece)))
    return piece


def _choices(texts: Sequence[str]) -> Slots:
    """Texts of different length as slots."""
    most = max(map(len, texts))
    return np.frombuffer(b"".join(text.encode().ljust(most, b"\0") for text in texts), np.uint8).reshape(-1, most)


_WHOLES = ("minutes", "trades", "since_ms", "missing")
_MAY_LACK = ("vwap", "taker_buy_share", "realised_volatility")
_BOOLS, _STATUSES = _choices(("false", "true")), _choices(STATUSES)
