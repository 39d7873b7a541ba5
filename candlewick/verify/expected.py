"""What the candles must be: computed from the simulator's record alone. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from candlewick.verify.amounts import SCALE, parse_amount, plain_amount
from candlewick.verify.spoken import COMPLETE, CONNECTED

MINUTE_US = 60_000_000

Fields = dict[str, Any]
"""A candle as its JSON fields, without `revision`: amounts as canonical text, times and counts as whole numbers.

An expected one has as `status` all those that it may say.
"""

KLINE = "kline"
LESS_THAN_CONNECTED = (KLINE, "hole")
LESS_THAN_COMPLETE = (CONNECTED, *LESS_THAN_CONNECTED)
ANY_STATUS = (COMPLETE, *LESS_THAN_COMPLETE)
_NO_IDS: Fields = {"first_trade_id": None, "last_trade_id": None}


class Sent(NamedTuple):
    """A trade of the simulator's record; `side` is the taker's, amounts in canonical text.

    `number` orders the trades of one time: the market's own number of it, which is its id where ids are numbers.
    """

    trade_id: str
    price: str
    qty: str
    side: str
    time_us: int
    number: int


class SpanUs(NamedTuple):
    """The whole minutes from `from_us` until `until_us`, microseconds."""

    from_us: int
    until_us: int

    def __contains__(self, time_us: object) -> bool:
        return isinstance(time_us, int) and self.from_us <= time_us < self.until_us

    def minutes(self) -> range:
        """The open times of the minutes."""
        return range(self.from_us, self.until_us, MINUTE_US)

    def windows(self, length_us: int) -> Iterator["SpanUs"]:
        """The span in pieces no longer than `length_us`."""
        for from_us in range(self.from_us, self.until_us, length_us):
            yield SpanUs(from_us, min(from_us + length_us, self.until_us))


def expected_candles(
    key: str,
    span: SpanUs,
    trades: Iterable[Sent],
    *,
    last_price: str | None,
    best: str = COMPLETE,
    statuses: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    klines: Mapping[int, Fields] = MappingProxyType({}),
) -> Iterator[Fields]:
    """The candles of every minute of `span`, in order.

    `trades` are those of the span. `last_price` is that of the last trade before it: a minute without trades has it.
    `statuses`: open time (microseconds) → what the minute may say, where that is not `best` alone. `klines`: open
    time → the values that the exchange gives, which stand in for those of the trades.
    """
    exchange, _, symbol = key.partition(":")
    by_minute = _by_minute(trades)
    for open_us in span.minutes():
        values: Fields = {}
        if of_minute := by_minute.get(open_us):
            values = _traded(of_minute)
        elif last_price is not None:
            values = _flat(last_price)
        if open_us in klines:
            values = (values or _flat("0")) | klines[open_us] | _NO_IDS
        if not values:
            continue  # nothing was traded yet: there can be no candle
        last_price = values["close"]
        yield {
            "exchange": exchange,
            "symbol": symbol,
            "timeframe": "1m",
            "open_time_ms": open_us // 1000,
            "close_time_ms": (open_us + MINUTE_US) // 1000 - 1,
            **values,
            "status": statuses.get(open_us, (best,)),
        }


def exchange_klines(
    span: SpanUs, trades: Iterable[Sent], *, last_price: str | None, fields: Sequence[str]
) -> dict[int, Fields]:
    """Open time (microseconds) → the `fields` that an exchange gives of a minute.

    `trades` are all that there were in the span, `last_price` that of the last one before it.
    """
    candles = expected_candles("", span, trades, last_price=last_price)
    return {candle["open_time_ms"] * 1000: {name: candle[name] for name in fields} for candle in candles}


def _by_minute(trades: Iterable[Sent]) -> dict[int, list[Sent]]:
    by_minute: dict[int, list[Sent]] = {}
    for trade in trades:
        by_minute.setdefault(trade.time_us - trade.time_us % MINUTE_US, []).append(trade)
    return by_minute


def _traded(trades: list[Sent]) -> Fields:
    ordered = sorted(trades, key=lambda trade: (trade.time_us, trade.number))
    # Ids that are numbers: the least and the greatest. Others: those of open and close.
    by_id = sorted(trades, key=lambda trade: trade.number) if ordered[0].trade_id.isdecimal() else ordered
    priced = [(parse_amount(trade.price), parse_amount(trade.qty), trade.side) for trade in ordered]
    prices = [price for price, _, _ in priced]
    return {
        "open": plain_amount(prices[0]),
        "high": plain_amount(max(prices)),
        "low": plain_amount(min(prices)),
        "close": plain_amount(prices[-1]),
        "volume": plain_amount(sum(qty for _, qty, _ in priced)),
        "quote_volume": plain_amount(sum(price * qty for price, qty, _ in priced), 2 * SCALE),
        "trades": len(priced),
        "taker_buy_volume": plain_amount(sum(qty for _, qty, side in priced if side == "buy")),
        "taker_buy_quote_volume": plain_amount(
            sum(price * qty for price, qty, side in priced if side == "buy"), 2 * SCALE
        ),
        "first_trade_id": by_id[0].trade_id,
        "last_trade_id": by_id[-1].trade_id,
    }


def _flat(price: str) -> Fields:
    return {
        **dict.fromkeys(("open", "high", "low", "close"), price),
        **dict.fromkeys(("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), "0"),
        "trades": 0,
        **_NO_IDS,
    }


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str:
    """Which fields differ and how, in words; empty where none does. `revision` is not compared."""
    names = [name for name in {**expected, **actual} if name != "revision" and expected.get(name) != actual.get(name)]
    wrong = [f"{name} is {actual.get(name)!r}, not {expected.get(name)!r}" for name in names if name != "status"]
    if actual.get("status") not in expected["status"]:
        wrong.append(f"status is {actual.get('status')!r}, not {' or '.join(expected['status'])}")
    return ", ".join(wrong)
