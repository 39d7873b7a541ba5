"""1m candles made from a seed, and what longer candles and tickers must be made of them, in plain Fractions.

The computation shares nothing with the processor but the record format: JSON in, JSON out.
"""

import math
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from market.records import BareRecord
from market.timeframe import Timeframe
from processors.rolling.core import Output
from processors.rolling.position import position_header
from processors.rolling.restore import RollingStart

MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000
START = 1_700_000_000_000 // DAY * DAY
"""A midnight."""
LENGTHS = {
    "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "12h": 720, "1d": 1440,
}  # fmt: skip
"""In minutes; weeks and months lie between days of the calendar."""
STATUSES = ["complete", "connected", "kline", "hole", "open"]
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")


class Minute(NamedTuple):
    """A record of the 1m topic."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "md.candles.1m.v1"
    partition: int = 0

    @property
    def fields(self) -> dict[str, Any]:
        return orjson.loads(self.value or b"null")


def text(number: Fraction) -> str:
    """Canonical plain decimal of a finite one."""
    places = 0
    while (number * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(number * 10**places))).rjust(places + 1, "0")
    plain = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{plain}" if number < 0 else plain


def minute(at: random.Random, open_ms: int, revision: int, symbol: str = "BTC-USDT", **fields: Any) -> bytes:
    """A 1m candle with made-up values; one in four has no trades."""
    price = Fraction(at.randint(1, 10**7), 10 ** at.randint(0, 4))
    trades = at.choice((0, 1, 5, 40))
    qty = Fraction(at.randint(1, 10**5) if trades else 0, 10 ** at.randint(0, 12))
    bought = qty * at.randint(0, 4) / 4
    move = Fraction(at.randint(0, 9), 10)
    first = open_ms // MINUTE * 100
    made = {
        "exchange": "binance",
        "symbol": symbol,
        "timeframe": "1m",
        "open_time_ms": open_ms,
        "close_time_ms": open_ms + MINUTE - 1,
        "open": text(price),
        "high": text(price + move),
        "low": text(price - min(move, price / 2)),
        "close": text(price + move / 2),
        "volume": text(qty),
        "quote_volume": text(qty * price),
        "trades": trades,
        "taker_buy_volume": text(bought),
        "taker_buy_quote_volume": text(bought * price),
        "first_trade_id": str(first) if trades else None,
        "last_trade_id": str(first + trades - 1) if trades else None,
        "revision": revision,
        "status": at.choice(STATUSES[:4]),
    }
    return orjson.dumps(made | fields)


def newest(records: Iterable[Minute]) -> dict[int, dict[str, Any]]:
    """Open time → newest version, of one key's records in log order, whoever wrote them."""
    found: dict[int, dict[str, Any]] = {}
    for record in records:
        fields = record.fields
        held = found.get(fields["open_time_ms"])
        if held is None or fields["revision"] >= held["revision"]:
            found[fields["open_time_ms"]] = fields
    return found


def rolled(minutes: dict[int, dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """(timeframe, open time) → the candle of every whole window."""
    windows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for open_ms in sorted(minutes):
        for timeframe in (*LENGTHS, "1w", "1M"):
            windows.setdefault((timeframe, begin(timeframe, open_ms)), []).append(minutes[open_ms])
    return {
        (timeframe, open_ms): _candle(timeframe, open_ms, parts)
        for (timeframe, open_ms), parts in windows.items()
        if len(parts) * MINUTE == _end(timeframe, open_ms) - open_ms
    }


def begin(timeframe: str, open_ms: int) -> int:
    """Where the window begins that holds a minute."""
    if timeframe in LENGTHS:
        length_ms = LENGTHS[timeframe] * MINUTE
        return open_ms // length_ms * length_ms
    day = datetime.fromtimestamp(open_ms / 1000, UTC).replace(hour=0, minute=0)
    first = day - timedelta(days=day.weekday()) if timeframe == "1w" else day.replace(day=1)
    return round(first.timestamp() * 1000)


def _end(timeframe: str, open_ms: int) -> int:
    if timeframe == "1w":
        return open_ms + 7 * DAY
    return begin("1M", open_ms + 31 * DAY) if timeframe == "1M" else open_ms + LENGTHS[timeframe] * MINUTE


def window(timeframe: str, minutes: dict[int, dict[str, Any]], open_ms: int) -> dict[str, Any] | None:
    """The candle of one window; None where a minute of it is absent."""
    span = range(open_ms, _end(timeframe, open_ms), MINUTE)
    parts = [minutes[at] for at in span if at in minutes]
    return _candle(timeframe, open_ms, parts) if len(parts) == len(span) else None


def _candle(timeframe: str, open_ms: int, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ids = [part for part in parts if part["first_trade_id"] is not None]
    return {
        "exchange": parts[0]["exchange"],
        "symbol": parts[0]["symbol"],
        "timeframe": timeframe,
        "open_time_ms": open_ms,
        "close_time_ms": _end(timeframe, open_ms) - 1,
        "open": parts[0]["open"],
        "high": max((part["high"] for part in parts), key=Fraction),
        "low": min((part["low"] for part in parts), key=Fraction),
        "close": parts[-1]["close"],
        **{name: text(sum(Fraction(part[name]) for part in parts)) for name in SUMS},
        "trades": sum(part["trades"] for part in parts),
        "first_trade_id": ids[0]["first_trade_id"] if ids else None,
        "last_trade_id": ids[-1]["last_trade_id"] if ids else None,
        "revision": max(part["revision"] for part in parts),
        "status": STATUSES[max(STATUSES.index(part["status"]) for part in parts)],
    }


class Near:
    """Equals the text of a number that is as good as the same."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and math.isclose(float(other), self.number, rel_tol=1e-9, abs_tol=1e-11)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"about {self.number}"


def ticker(minutes: dict[int, dict[str, Any]], open_ms: int, live: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ticker at the end of the minute that opens at `open_ms`; minutes behind it are not looked at."""
    held = minutes | ({open_ms: live} if live else {})
    held = {at: held[at] for at in sorted(held) if at <= open_ms}
    hour = open_ms // HOUR * HOUR
    of_hours: dict[int, list[int]] = {}
    for at in held:
        of_hours.setdefault(at // HOUR * HOUR, []).append(at)
    hours = {at: some for at, some in of_hours.items() if hour - 167 * HOUR <= at < hour and len(some) == 60}
    of_week = [at for some in hours.values() for at in some] + of_hours[hour]
    windows = {
        "1h": _window(held, [at for at in held if at > open_ms - HOUR], open_ms - 59 * MINUTE, MINUTE),
        "24h": _window(held, [at for at in held if at > open_ms - DAY], open_ms - DAY + MINUTE, 5 * MINUTE),
        "7d": _window(held, of_week, hour - 167 * HOUR, HOUR),
    }
    if len(of_hours[hour]) == 60:  # the running hour is no step yet
        closes = [
            held[at + HOUR - MINUTE]["close"] if at in hours else None for at in range(hour - 167 * HOUR, hour, HOUR)
        ]
        windows["7d"]["realised_volatility"] = _volatility(closes)
    for shown in windows.values():
        shown["missing"] = (open_ms + MINUTE - shown["since_ms"]) // MINUTE - shown["minutes"]
    return {
        "exchange": held[open_ms]["exchange"],
        "symbol": held[open_ms]["symbol"],
        "time_ms": open_ms + MINUTE,
        "last": held[open_ms]["close"],
        "live": live is not None,
        "revision": max(held[at]["revision"] for at in {*of_week, *(at for at in held if at > open_ms - DAY)}),
        "windows": windows,
    }


def _window(held: dict[int, dict[str, Any]], opens: Sequence[int], since_ms: int, step_ms: int) -> dict[str, Any]:
    parts = [held[at] for at in opens]
    ends = range(since_ms // step_ms * step_ms + step_ms, opens[-1] + MINUTE + 1, step_ms)
    within = set(opens)
    opened, close = Fraction(parts[0]["open"]), Fraction(parts[-1]["close"])
    volume, quote, bought = (
        sum(Fraction(part[name]) for part in parts) for name in ("volume", "quote_volume", "taker_buy_volume")
    )
    percent = round((close - opened) / opened * 100 * 10**4)  # Python rounds half to even
    return {
        "minutes": len(parts),
        "open": text(opened),
        "high": max((part["high"] for part in parts), key=Fraction),
        "low": min((part["low"] for part in parts), key=Fraction),
        "close": text(close),
        "change": text(close - opened),
        "change_percent": text(Fraction(percent, 10**4)),
        "vwap": text(Fraction(round(quote / volume * 10**18), 10**18)) if volume else None,
        "volume": text(volume),
        "quote_volume": text(quote),
        "taker_buy_volume": text(bought),
        "trades": sum(part["trades"] for part in parts),
        "status": STATUSES[max(STATUSES.index(part["status"]) for part in parts)],
        "since_ms": since_ms,
        "taker_buy_share": text(Fraction(round(bought / volume * 10**6), 10**6)) if volume else None,
        "realised_volatility": _volatility(
            [held[end - MINUTE]["close"] if end - MINUTE in within else None for end in ends]
        ),
    }


def _volatility(closes: Sequence[str | None]) -> Near | None:
    """Of the closes of steps in a row, None where one is missing."""
    pairs = [(before, after) for before, after in pairwise(closes) if before is not None and after is not None]
    logs = [math.log(Fraction(after) / Fraction(before)) for before, after in pairs]
    return Near(math.sqrt(math.fsum(log * log for log in logs))) if len(logs) >= 2 else None


class MemoryLog:
    """One partition of the candle topics, as `processors.rolling.restore.Log`.

    What lies before `first` in the 1m topic was deleted.
    """

    topic_id = "memory"

    def __init__(self, records: Iterable[Minute] = (), first: int = 0) -> None:
        self.records = list(records)
        self.first = first
        self.longer: dict[str, list[Minute]] = {"1h": [], "1d": []}
        self.reads = 0
        """How many 1m records were read back."""

    def publish(self, outputs: Iterable[Output], at_ms: int) -> None:
        """Append what the processor publishes, as far as it reads it again."""
        for output in outputs:
            if output.timeframe in self.longer:
                held = self.longer[output.timeframe]
                headers = (position_header(output.position, self.topic_id),)
                held.append(Minute(len(held), at_ms, output.key.encode(), output.value, headers))

    async def starts(self, timeframe: Timeframe, since_ms: Mapping[int, int]) -> dict[int, RollingStart]:
        records, first = self._topic(timeframe)
        end = records[-1].offset + 1 if records else first
        later = (one.offset for one in records if one.timestamp >= since_ms[0] and one.offset >= first)
        return {0: RollingStart(first, next(later, end))}

    async def read(
        self, timeframe: Timeframe, start: Mapping[int, int], stop: Mapping[int, int] | None = None
    ) -> AsyncIterator[tuple[int, list[BareRecord]]]:
        records, first = self._topic(timeframe)
        end = math.inf if stop is None else stop[0]
        read = [one for one in records if max(start[0], first) <= one.offset < end]
        if timeframe == "1m" and stop is not None:
            self.reads += len(read)
        if read:
            yield 0, list(read)

    def _topic(self, timeframe: Timeframe) -> tuple[list[Minute], int]:
        return (self.records, self.first) if timeframe == "1m" else (self.longer[timeframe], 0)
