"""What adapters share: texts of exchanges into trades, and what to do with those that are none."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.given_candle import GivenCandle
from market.limits import check_amounts_of_candle, check_key, check_name, check_seq, check_time, parse_amounts
from market.trade import Side, Source, Trade
from producers.exchange import RefusedTrade

EARLIEST_US = 1_230_768_000_000_000
"""2009: before it no coin was traded."""
MAX_ID = 10**18
"""Numeric ids from here on are refused: they would not fit everywhere."""
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoders of JSON raise: the last one if it is nested too deep."""
_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = 1_000_000
_is_number = re.compile(r"[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?").fullmatch


def make_trade(
    exchange: str,
    symbol: str,
    number: int | str,
    *,
    price: str,
    qty: str,
    side: Side,
    time_us: int,
    received_us: int,
    source: Source,
    seq: int | None = None,
) -> Trade:
    """A trade, checked. `MalformedError`: id, time, price or size cannot be those of a trade."""
    if isinstance(number, int):
        if not 0 <= number < MAX_ID:
            raise MalformedError(f"trade id {number} is not from 0 to {MAX_ID - 1}")
        number = str(number)
    else:
        check_name(number, "trade_id")
    if not EARLIEST_US <= time_us < MAX_TIME_US > received_us >= 0:
        _refuse_times(time_us, received_us)
    check_key(exchange, symbol)
    amounts = parse_amounts(price, qty)
    if seq is not None:
        check_seq(seq)
    return Trade(
        exchange=exchange,
        symbol=symbol,
        trade_id=number,
        price=amounts[0],
        qty=amounts[1],
        side=side,
        time_us=time_us,
        received_us=received_us,
        source=source,
        seq=seq,
    )


def _refuse_times(time_us: int, received_us: int) -> None:
    if time_us < EARLIEST_US:
        raise MalformedError(f"time {time_us} us is before 2009")
    check_time(time_us, "time_us")
    check_time(received_us, "received_us")


def make_candle(open_time_ms: int, prices: Sequence[str], volume: str, trades: int | None = None) -> GivenCandle:
    """An exchange's own candle, checked: `prices` are open, high, low and close. Raises `MalformedError`."""
    opened, high, low, close = map(parse_decimal, prices)
    candle = GivenCandle(
        open_time_ms=open_time_ms,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=parse_decimal(volume),
        trades=trades,
    )
    check_amounts_of_candle(candle)
    return candle


def taker_side(text: str) -> Side:
    """``buy`` or ``sell`` in any letters, where the exchange names the taker's side."""
    side = _SIDES.get(text)
    if side is None:
        raise MalformedError(f"side is {text[:20]!r}, not buy or sell")
    return side


_SIDES = {word: side for side in Side for word in (side.value, side.value.capitalize(), side.value.upper())}


def iso_us(text: str) -> int:
    """Microseconds of an ISO 8601 time with its zone, ``2021-04-17T16:43:30.244075Z``; finer digits are cut off."""
    try:
        time = datetime.fromisoformat(text)
        since = time - _EPOCH
    except (ValueError, TypeError) as error:
        raise MalformedError(f"time {text[:40]!r} is no time with a zone") from error
    return (since.days * 86_400 + since.seconds) * _MICROSECOND + since.microseconds


def digits(text: str, what: str) -> int:
    """A whole number in plain digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004  # fits 64 bits
        raise MalformedError(f"{what} is {text[:40]!r}, not a number of at most 18 digits")
    return int(text)


def seconds_us(text: str) -> int:
    """Microseconds of plain seconds, ``1688669597.8277369``; finer digits are cut off."""
    whole, _, part = text.partition(".")
    return digits(whole, "time") * _MICROSECOND + (digits(part[:6].ljust(6, "0"), "time") if part else 0)


def number_text(raw: msgspec.Raw) -> str:
    """A JSON number, never through a float: its own digits, as a plain decimal.

    Exponents are written out; zeros at the end stay. `MalformedError`: it is no number, or a negative one.
    """
    text = bytes(raw).decode(errors="replace")
    number = _is_number(text)
    if number is None:
        raise MalformedError(f"{text[:40]!r} is no JSON number from 0 on")
    return format(Decimal(text), "f") if number[1] else text


def decode_as(decode: "Callable[[bytes], _T]", body: bytes, what: str) -> _T:
    """The decoded body; `MalformedError` that says what it is not."""
    try:
        return decode(body)
    except UNREADABLE as error:
        raise MalformedError(f"not {what}: {error}") from error


def known_field(raw: bytes, name: str | int) -> Any:
    """What a message that is otherwise wrong has as the field of this name or place; None where it has none."""
    # Field by field: its other ones may be what cannot be read.
    kind: Any = dict[str, msgspec.Raw] if isinstance(name, str) else list[msgspec.Raw]
    try:
        return msgspec.json.decode(msgspec.json.decode(raw, type=kind)[name])
    except (*UNREADABLE, LookupError):
        return None


def known_number(value: object) -> int | None:
    """A trade id, as a number or its text, of a message that is otherwise wrong; None where it cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:  # noqa: PLR2004  # as above
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < MAX_ID else None  # type: ignore[operator,return-value]  # is_number


def read_rows(
    rows: "list[msgspec.Raw]",
    symbol: str | None,
    read: "Callable[[msgspec.Raw], Trade]",
    number_of: "Callable[[bytes], int | None]",
) -> "list[Trade | RefusedTrade]":
    """Each row of a page by itself: one that is no trade becomes a `RefusedTrade`, and the others count."""
    trades: list[Trade | RefusedTrade] = []
    for row in rows:
        try:
            trades.append(read(row))
        except (*UNREADABLE, MalformedError) as error:
            raw = bytes(row)
            trades.append(RefusedTrade(raw, str(error), symbol, number_of(raw)))
    return trades


def step_of(decimals: int) -> Decimal | None:
    """The step of amounts with so many places; None where there can't be so many."""
    return Decimal((0, (1,), -decimals)) if 0 <= decimals <= 18 else None  # noqa: PLR2004  # as many as volumes have


def step_or_none(text: str | None) -> Decimal | None:
    """A step of prices or sizes; None where it is not told or can't be one."""
    if not text:
        return None
    try:
        step = parse_decimal(text)
    except MalformedError:
        return None
    return step if step > 0 else None
