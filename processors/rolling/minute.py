"""A record of a candle topic as a market's minute: nearly all are read by their form, and the codec judges the rest."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from market.candle import Candle, Status
from market.codec import decode_candle, run_of
from market.decimals import plain
from market.errors import MalformedError
from market.fields import Count, Name, TimeMs
from market.limits import check_key, check_name
from market.records import AHEAD_MS, BareRecord
from market.timeframe import MINUTE_MS, Timeframe
from processors.rolling.amounts import COARSEST, Scale, Texts, are_usual, whole
from processors.rolling.history import minute_of
from processors.rolling.sums import STATUSES, Sum

_TIMEFRAMES = {timeframe.value: timeframe for timeframe in Timeframe}
_RANKS = {status.value: rank for rank, status in enumerate(STATUSES)}


class Minute(NamedTuple):
    """What a record says of one minute of a market."""

    key: str
    open_ms: int
    is_live: bool
    """Not of a run."""
    sum: Sum
    scale: Scale
    """Of the sum: the market's, or a finer one."""


class _UsualCandle(msgspec.Struct, gc=False):
    exchange: Name
    symbol: Name
    timeframe: str
    open_time_ms: TimeMs
    close_time_ms: TimeMs
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: Count
    taker_buy_volume: str
    taker_buy_quote_volume: str
    first_trade_id: Name | None
    last_trade_id: Name | None
    revision: Count
    status: Status


_Amounts = tuple[int, int, int, int, int, int, int, int]
_usual_candle = msgspec.json.Decoder(_UsualCandle).decode


Scales = Mapping[str, Scale]
"""Key → scale."""


class ReadCandle(NamedTuple):
    """A closed candle of any timeframe."""

    key: str
    timeframe: Timeframe
    open_ms: int
    sum: Sum
    scale: Scale


def read_minute(record: BareRecord, scales: Scales) -> Minute | None:
    """The 1m candle of a record; None without a value.

    Raises `MalformedError` if it is none, or if it is of the future. Nobody has checked the record's key.
    """
    if record.value is None:
        return None
    candle = _read_by_form(record.value, scales)
    is_usual = candle is not None
    candle = candle or _as_read(decode_candle(record.value), scales)
    if candle.timeframe is not Timeframe.M1:
        raise MalformedError(f"not a minute: {candle.timeframe} candle of {candle.open_ms}")
    if candle.open_ms > record.timestamp + AHEAD_MS:
        raise MalformedError(f"a minute of the future: it opens at {candle.open_ms}, at {record.timestamp}")
    is_live = not record.headers or run_of(record.headers) is None
    opening = None if is_usual else minute_of(record)
    if not is_usual and (opening is None or opening.open_ms != candle.open_ms):
        raise MalformedError("it has two different open times, or no key")
    return Minute(candle.key, candle.open_ms, is_live, candle.sum, candle.scale)


def read_candle(value: bytes, scales: Scales) -> ReadCandle:
    """A candle of any timeframe; raises `MalformedError`."""
    return _read_by_form(value, scales) or _as_read(decode_candle(value), scales)


def _as_read(candle: Candle, scales: Scales) -> ReadCandle:
    texts = tuple(
        map(
            plain,
            (
                candle.open, candle.high, candle.low, candle.close,
                candle.volume, candle.quote_volume, candle.taker_buy_volume, candle.taker_buy_quote_volume,
            ),
        )
    )  # fmt: skip
    amounts, scale = _amounts(texts, scales.get(candle.key, COARSEST))
    ids = candle.first_trade_id, candle.last_trade_id
    of_candle = Sum(*amounts, candle.trades, candle.revision, candle.status.rank, *ids)
    return ReadCandle(candle.key, candle.timeframe, candle.open_time_ms, of_candle, scale)


def _read_by_form(value: bytes, scales: Scales) -> ReadCandle | None:
    """What `decode_candle` would say of a usual candle, in a fraction of the time; None where it has to look itself."""
    try:
        wire = _usual_candle(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    timeframe, open_ms, key = _TIMEFRAMES.get(wire.timeframe), wire.open_time_ms, f"{wire.exchange}:{wire.symbol}"
    texts = (
        wire.open, wire.high, wire.low, wire.close,
        wire.volume, wire.quote_volume, wire.taker_buy_volume, wire.taker_buy_quote_volume,
    )  # fmt: skip
    if timeframe is None or not are_usual(" ".join(texts)) or not _is_whole(timeframe, open_ms, wire.close_time_ms):
        return None
    amounts, scale = _amounts(texts, scales.get(key, COARSEST))
    opened, high, low, close = amounts[:4]
    if not 0 < low <= opened <= high or not low <= close <= high:
        return None
    check_key(wire.exchange, wire.symbol)
    first_id, last_id = wire.first_trade_id, wire.last_trade_id
    if first_id is not None:
        check_name(first_id, "trade id")
    if last_id is not None:
        check_name(last_id, "trade id")
    of_candle = Sum(*amounts, wire.trades, wire.revision, _RANKS[wire.status], first_id, last_id)
    return ReadCandle(key, timeframe, open_ms, of_candle, scale)


def _amounts(texts: Texts, scale: Scale) -> tuple[_Amounts, Scale]:
    """A candle's amounts, at this scale or, if they need it, at a finer one."""
    try:
        return _at_scale(texts, scale), scale
    except ValueError:  # seldom: a market's first candles, and new rules of an exchange
        scale = scale.holding(texts)
        return _at_scale(texts, scale), scale


def _at_scale(texts: Texts, scale: Scale) -> _Amounts:
    opened, high, low, close, volume, quote_volume, taker_buy_volume, taker_buy_quote_volume = texts
    price, of_volume, quote = scale
    return (
        whole(opened, price),
        whole(high, price),
        whole(low, price),
        whole(close, price),
        whole(volume, of_volume),
        whole(quote_volume, quote),
        whole(taker_buy_volume, of_volume),
        whole(taker_buy_quote_volume, quote),
    )


def _is_whole(timeframe: Timeframe, open_ms: int, close_ms: int) -> bool:
    """Whether a candle of that timeframe can open and close at these times."""
    if timeframe is Timeframe.M1:
        return open_ms % MINUTE_MS == 0 and close_ms == open_ms + MINUTE_MS - 1
    return timeframe.open_ms(open_ms) == open_ms and timeframe.end_ms(open_ms) - 1 == close_ms
