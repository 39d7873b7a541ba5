"""A record of a candle topic as a market's minute: nearly all are read by their form, and the codec judges the rest."""

from typing import NamedTuple

import msgspec

from market.candle import Candle, Status
from market.codec import decode_candle, run_of
from market.errors import MalformedError
from market.fields import Count, Name, TimeMs
from market.limits import check_key, check_name
from market.records import AHEAD_MS, BareRecord
from market.timeframe import Timeframe
from processors.rolling.amounts import PRICE_PLACES, QUOTE_PLACES, are_usual, whole
from processors.rolling.history import minute_of
from processors.rolling.sums import STATUSES, Sum, sum_of

_RANKS = {status.value: rank for rank, status in enumerate(STATUSES)}


class Minute(NamedTuple):
    """What a record says of one minute of a market."""

    key: str
    open_ms: int
    is_live: bool
    """Not of a run."""
    sum: Sum


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


_usual_candle = msgspec.json.Decoder(_UsualCandle).decode


class ReadCandle(NamedTuple):
    """A closed candle of any timeframe."""

    key: str
    timeframe: Timeframe
    open_ms: int
    sum: Sum


def read_minute(record: BareRecord) -> Minute | None:
    """The 1m candle of a record; None without a value.

    Raises `MalformedError` if it is none, or if it is of the future. Nobody has checked the record's key.
    """
    if record.value is None:
        return None
    candle = _read_by_form(record.value)
    is_usual = candle is not None
    candle = candle or _as_read(decode_candle(record.value))
    if candle.timeframe != Timeframe.M1:
        raise MalformedError(f"not a minute: {candle.timeframe} candle of {candle.open_ms}")
    if candle.open_ms > record.timestamp + AHEAD_MS:
        raise MalformedError(f"a minute of the future: it opens at {candle.open_ms}, at {record.timestamp}")
    is_live = run_of(record.headers) is None
    opening = None if is_usual else minute_of(record)
    if not is_usual and (opening is None or opening.open_ms != candle.open_ms):
        raise MalformedError("it has two different open times, or no key")
    return Minute(candle.key, candle.open_ms, is_live, candle.sum)


def read_candle(value: bytes) -> ReadCandle:
    """A candle of any timeframe; raises `MalformedError`."""
    return _read_by_form(value) or _as_read(decode_candle(value))


def _as_read(candle: Candle) -> ReadCandle:
    return ReadCandle(candle.key, candle.timeframe, candle.open_time_ms, sum_of(candle))


def _read_by_form(value: bytes) -> ReadCandle | None:
    """What `decode_candle` would say of a usual candle, in a fraction of the time; None where it has to look itself."""
    try:
        wire = _usual_candle(value)
        timeframe = Timeframe(wire.timeframe)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    texts = (
        wire.open, wire.high, wire.low, wire.close,
        wire.volume, wire.quote_volume, wire.taker_buy_volume, wire.taker_buy_quote_volume,
    )  # fmt: skip
    if not are_usual(" ".join(texts)):
        return None
    opened, high, low, close = (whole(text, PRICE_PLACES) for text in texts[:4])
    open_ms = wire.open_time_ms
    if not 0 < low <= opened <= high or not low <= close <= high:
        return None
    if timeframe.open_ms(open_ms) != open_ms or timeframe.end_ms(open_ms) - 1 != wire.close_time_ms:
        return None
    check_key(wire.exchange, wire.symbol)
    for trade_id in (wire.first_trade_id, wire.last_trade_id):
        if trade_id is not None:
            check_name(trade_id, "trade id")
    of_candle = Sum(
        opened,
        high,
        low,
        close,
        whole(wire.volume, PRICE_PLACES),
        whole(wire.quote_volume, QUOTE_PLACES),
        whole(wire.taker_buy_volume, PRICE_PLACES),
        whole(wire.taker_buy_quote_volume, QUOTE_PLACES),
        wire.trades,
        wire.revision,
        _RANKS[wire.status],
        wire.first_trade_id,
        wire.last_trade_id,
    )
    return ReadCandle(f"{wire.exchange}:{wire.symbol}", timeframe, open_ms, of_candle)
