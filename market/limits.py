"""What a record may hold: the limits of all stores in one place, so that every store holds a record exactly, or none.

=======================================  ==============================================================================
limit                                    comes from
=======================================  ==============================================================================
`VOLUME`, `QUOTE_VOLUME`                 Parquet: a decimal has 38 digits there, in Iceberg and in DuckDB too:
                                         (38, 18) and (38, 22)
`PRICE`, `TURNOVER`                      the sums: 100,000 of the largest sizes in one candle still fit `VOLUME`, and
                                         1,000 of the largest turnovers `QUOTE_VOLUME`
products of two columns                  ClickHouse: 76 digits, and it does not say when a sum goes beyond
whole numbers below 2^53                 Redis: its scripts, like JavaScript, know no greater ones exactly
times before `MAX_TIME_US`               the same, in microseconds
names of `MAX_NAME` bytes, and of 240    Parquet: a part of a path has at most 255 bytes, and ``exchange=`` is one of
bytes percent-encoded                    them
no control characters in names           paths, headers, and people who read a log
=======================================  ==============================================================================

All checks raise `MalformedError`, which names the field and the limit.
"""

import re
from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from typing import Protocol

from market.bar import Bar
from market.candle import Candle
from market.decimals import EXACT, parse_decimal, plain
from market.errors import MalformedError
from market.fields import MAX_NAME, MAX_TIME_US, MAX_WHOLE
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.key import MarketKey
from market.signal import Signal
from market.ticker import Ticker
from market.trade import Trade

MAX_ENCODED_NAME = 240
"""Bytes of an exchange or a symbol, percent-encoded."""
_to_encode = re.compile(rb"[^A-Za-z0-9._~-]").findall
_control = re.compile("[\x00-\x1f\x7f-\x9f]").search
_MAX_SHOWN = 100


class _Prices(Protocol):
    @property
    def open(self) -> Decimal: ...
    @property
    def high(self) -> Decimal: ...
    @property
    def low(self) -> Decimal: ...
    @property
    def close(self) -> Decimal: ...


class Limit:
    """Decimals below 10^`whole`, with at most `places` digits after the point; trailing zeros do not count."""

    __slots__ = ("_context", "_unit", "places", "whole")

    def __init__(self, whole: int, places: int) -> None:
        self.whole = whole
        self.places = places
        self._unit = Decimal((0, (1,), -places))
        self._context = Context(prec=whole + places, traps=[Inexact, InvalidOperation])

    def holds(self, value: Decimal) -> bool:
        """Whether the value is within the limit; its sign does not matter."""
        try:
            value.quantize(self._unit, context=self._context)
        except (Inexact, InvalidOperation):
            return False
        return value.is_finite()

    def check(self, value: Decimal, what: str) -> None:
        """`MalformedError` if the value is not within the limit."""
        if not self.holds(value):
            raise MalformedError(
                f"{what} {plain(value)[:_MAX_SHOWN]} is not below 10^{self.whole} "
                f"with at most {self.places} digits after the point"
            )


PRICE = Limit(15, 18)
"""A price, and the size of one trade."""
TURNOVER = Limit(13, 22)
"""price * qty of one trade."""
VOLUME = Limit(20, 18)
QUOTE_VOLUME = Limit(16, 22)
CHANGE_PERCENT = Limit(36, 4)
SIGNAL_VALUE = VOLUME
"""A number that a signal was made from."""
MAX_VALUE_NAME = 2 * (2 * MAX_NAME + 1) + 1
"""Characters of the name of such a number: two market keys with a bar between."""
# Together they have at most the digits of `TURNOVER` (13 and 22), so the product has, too; and each is within `PRICE`.
_is_short_price = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,11})?").fullmatch
_is_short_qty = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,11})?").fullmatch
# The same, of many at once, each greater than 0 and without a needless zero before the point; and for coins that cost
# little, fewer digits in the price and more in the size.
_SHORT = r"(?!0(?:[0-9 \n]|\.0+[ \n]))[0-9]{{1,{}}}+(?:\.[0-9]{{1,11}}+)?"
_shorts = re.compile(rf"(?:(?:{_SHORT.format(6)} {_SHORT.format(7)}|{_SHORT.format(1)} {_SHORT.format(12)})\n)*").match
AMOUNTS = {
    **dict.fromkeys(("volume", "taker_buy_volume", "vwap", "taker_buy_share", "realised_volatility"), VOLUME),
    **dict.fromkeys(("quote_volume", "taker_buy_quote_volume", "remainder"), QUOTE_VOLUME),
    "change": PRICE,
    "rate": PRICE,
    "change_percent": CHANGE_PERCENT,
}
"""By field, the limits of what is computed, and may be 0; the other amounts are prices and sizes."""
_OF_WINDOW = (
    "change", "change_percent", "vwap", "volume", "quote_volume",
    "taker_buy_volume", "taker_buy_share", "realised_volatility",
)  # fmt: skip


def check_trade(trade: Trade) -> None:
    """Check a trade that `decode_trade` did not make, such as one of an import."""
    check_key(trade.exchange, trade.symbol)
    check_name(trade.trade_id, "trade_id")
    check_amounts(trade.price, trade.qty)
    check_time(trade.time_us, "time_us")
    check_time(trade.received_us, "received_us")
    if trade.seq is not None:
        check_seq(trade.seq)


def check_time(time_us: int, what: str) -> None:
    """A time of a trade, from 0 on and before `MAX_TIME_US`."""
    if not 0 <= time_us < MAX_TIME_US:
        raise MalformedError(f"{what} {time_us} is not from 0 to {MAX_TIME_US - 1} microseconds")


def check_seq(seq: int) -> None:
    """The exchange's own order of a trade: 64 bits with a sign hold it."""
    if not 0 <= seq <= MAX_WHOLE:
        raise MalformedError(f"seq {seq} is not from 0 to 2^63 - 1")


def check_amounts(price: Decimal, qty: Decimal) -> None:
    """Price and size of one trade: greater than 0, each within `PRICE`, and their product within `TURNOVER`."""
    _check_positive(price, "price")
    _check_positive(qty, "qty")
    TURNOVER.check(EXACT.multiply(price, qty), "price * qty")


def parse_amounts(price: str, qty: str) -> tuple[Decimal, Decimal]:
    """Price and size of one trade out of their texts: `parse_decimal`, then `check_amounts`.

    Nearly all are so short that the form alone shows that they are within the limits, which costs a fraction.
    """
    if _is_short_price(price) and _is_short_qty(qty):
        amounts = Decimal(price), Decimal(qty)
        if amounts[0] and amounts[1]:
            return amounts
    amounts = parse_decimal(price), parse_decimal(qty)
    check_amounts(*amounts)
    return amounts


def count_short_amounts(amounts: Sequence[str]) -> int:
    """How many of these texts, each of them ``price qty``, are so short from the first one on that all is shown.

    That is: `parse_amounts` takes them, and their canonical form is the text without the zeros at the end. It costs a
    fraction of parsing them.
    """
    text = "\n".join(amounts) + "\n"
    if text.count("\n") != len(amounts):
        return 0
    shorts = _shorts(text)
    return 0 if shorts is None else text.count("\n", 0, shorts.end())


def check_price(price: Decimal, what: str) -> None:
    """A price alone, such as a marker's."""
    _check_positive(price, what)


def check_candle(candle: Candle) -> None:
    """Prices, sums and names within their limits, and times that its timeframe allows."""
    check_key(candle.exchange, candle.symbol)
    for name in ("first_trade_id", "last_trade_id"):
        if (trade_id := getattr(candle, name)) is not None:
            check_name(trade_id, name)
    check_amounts_of_candle(candle)
    timeframe, open_ms, close_ms = candle.timeframe, candle.open_time_ms, candle.close_time_ms
    if timeframe.open_ms(open_ms) != open_ms or timeframe.end_ms(open_ms) - 1 != close_ms:
        raise MalformedError(f"open_time_ms {open_ms} and close_time_ms {close_ms} are not of a {timeframe} candle")


def check_amounts_of_candle(candle: Candle | GivenCandle) -> None:
    """Prices and sums within their limits; a sum that is None is not given."""
    check_prices(candle)
    check_sums(candle, ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"))


def check_bar(bar: Bar) -> None:
    """Prices, sums and names within their limits, times in their order, less left over than a bar takes."""
    check_key(bar.exchange, bar.symbol)
    check_name(bar.first_trade_id, "first_trade_id")
    check_name(bar.last_trade_id, "last_trade_id")
    check_threshold(bar.threshold)
    check_prices(bar)
    check_sums(bar, ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "remainder"))
    if bar.close_time_us < bar.open_time_us:
        raise MalformedError(f"close_time_us {bar.close_time_us} is before open_time_us {bar.open_time_us}")
    if bar.remainder >= bar.threshold:
        raise MalformedError(f"remainder {bar.remainder:f} is not below threshold {bar.threshold:f}")


def check_threshold(threshold: Decimal) -> None:
    """How much makes a bar: greater than 0 and within `PRICE`, as what one trade can bring."""
    _check_positive(threshold, "threshold")


def check_ticker(ticker: Ticker) -> None:
    """Prices, sums and names of a ticker and of its windows within their limits."""
    check_key(ticker.exchange, ticker.symbol)
    _check_positive(ticker.last, "last")
    for name, window in ticker.windows.items():
        check_name(name, "the name of a window")
        check_prices(window)
        check_sums(window, _OF_WINDOW)


def check_signal(signal: Signal) -> None:
    """Names and numbers of a signal within their limits."""
    check_key(signal.exchange, signal.symbol)
    check_name(signal.kind, "kind")
    if signal.other is not None:
        check_key(*MarketKey.parse(signal.other))
    for name, value in signal.values.items():
        if not 0 < len(name) <= MAX_VALUE_NAME:
            raise MalformedError(f"the name of a value has {len(name)} characters, not 1 to {MAX_VALUE_NAME}")
        SIGNAL_VALUE.check(value, name)


def check_instrument(instrument: Instrument) -> None:
    """Names of an instrument; its steps and its contract greater than 0 and within `PRICE`."""
    check_key(instrument.exchange, instrument.symbol)
    for name in ("native", "base", "quote"):
        check_name(getattr(instrument, name), name)
    for name in ("tick", "lot", "contract"):
        if (step := getattr(instrument, name)) is not None:
            _check_positive(step, name)


def check_funding_rate(funding: FundingRate) -> None:
    """Names, rate and mark price of a funding rate within their limits."""
    check_key(funding.exchange, funding.symbol)
    check_sums(funding, ("rate",))
    if funding.mark_price is not None:
        check_price(funding.mark_price, "mark_price")


def check_prices(of: _Prices) -> None:
    """Open, high, low and close of a candle or a window."""
    for name in ("open", "high", "low", "close"):
        _check_positive(getattr(of, name), name)
    if not of.low <= min(of.open, of.close) <= max(of.open, of.close) <= of.high:
        raise MalformedError(f"open {of.open:f} and close {of.close:f} are not from low {of.low:f} to high {of.high:f}")


def check_sums(of: object, names: tuple[str, ...]) -> None:
    """These fields, which are computed, within their `AMOUNTS`; a field that is None is passed over."""
    for name in names:
        if (value := getattr(of, name)) is not None:
            AMOUNTS[name].check(value, name)


@lru_cache(maxsize=16_384)
def check_key(exchange: str, symbol: str) -> None:
    """Exchange and symbol of a `MarketKey`, and its text, which is a record key."""
    for name, what in ((exchange, "exchange"), (symbol, "symbol")):
        check_name(name, what)
        encoded = len(name.encode()) + 2 * len(_to_encode(name.encode()))
        if encoded > MAX_ENCODED_NAME:
            raise MalformedError(f"{what} {name!r} has {encoded} bytes percent-encoded, more than {MAX_ENCODED_NAME}")
    # Else two markets could share a record key, or a market and a run could share a key in md.progress.v1.
    if ":" in exchange or "|" in exchange or "|" in symbol:
        raise MalformedError(f"the key {exchange}:{symbol} is ambiguous: ':' or '|' in an exchange, or '|' in a symbol")


def check_name(name: str, what: str) -> None:
    """A name of 1 to `MAX_NAME` bytes of UTF-8, without control characters."""
    if 0 < len(name) <= MAX_NAME and name.isascii() and name.isprintable():  # the common case
        return
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise MalformedError(f"{what} {name[:_MAX_SHOWN]!a} is no Unicode text") from None
    if not 0 < size <= MAX_NAME:
        raise MalformedError(f"{what} {name[:_MAX_SHOWN]!r} has {size} bytes, not 1 to {MAX_NAME}")
    if _control(name):
        raise MalformedError(f"{what} {name!r} holds a control character")


def _check_positive(value: Decimal, what: str) -> None:
    PRICE.check(value, what)
    if value <= 0:
        raise MalformedError(f"{what} is {plain(value)}: it has to be greater than 0")
