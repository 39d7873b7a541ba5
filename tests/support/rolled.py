"""1m candles made from a seed, and what longer candles and tickers must be made of them, in plain Fractions.

The computation shares nothing with the processor but the record format: JSON in, JSON out.
"""

import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import orjson

from market.records import Record
from processors.rolling.restore import RollingStart

MINUTE = 60_000
DAY = 86_400_000
START = 1_700_000_000_000 // DAY * DAY
"""A midnight."""
LENGTHS = {
    "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "12h": 720, "1d": 1440,
}  # fmt: skip
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
        for timeframe, length in LENGTHS.items():
            windows.setdefault((timeframe, open_ms // (length * MINUTE) * length * MINUTE), []).append(minutes[open_ms])
    return {
        (timeframe, open_ms): _candle(timeframe, open_ms, parts)
        for (timeframe, open_ms), parts in windows.items()
        if len(parts) == LENGTHS[timeframe]
    }


def window(timeframe: str, minutes: dict[int, dict[str, Any]], open_ms: int) -> dict[str, Any] | None:
    """The candle of one window; None where a minute of it is absent."""
    parts = [minutes[at] for at in range(open_ms, open_ms + LENGTHS[timeframe] * MINUTE, MINUTE) if at in minutes]
    return _candle(timeframe, open_ms, parts) if len(parts) == LENGTHS[timeframe] else None


def _candle(timeframe: str, open_ms: int, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    end = datetime.fromtimestamp(open_ms / 1000, UTC) + timedelta(minutes=LENGTHS[timeframe])
    ids = [part for part in parts if part["first_trade_id"] is not None]
    return {
        "exchange": parts[0]["exchange"],
        "symbol": parts[0]["symbol"],
        "timeframe": timeframe,
        "open_time_ms": open_ms,
        "close_time_ms": round(end.timestamp() * 1000) - 1,
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


def ticker(minutes: dict[int, dict[str, Any]], open_ms: int, live: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ticker at the end of the minute that opens at `open_ms`; minutes behind it are not looked at."""
    end = open_ms + MINUTE
    held = minutes | ({open_ms: live} if live else {})
    within = {
        name: [held[at] for at in sorted(held) if end - length <= at <= open_ms]
        for name, length in (("1h", 60 * MINUTE), ("24h", DAY))
    }
    return {
        "exchange": held[open_ms]["exchange"],
        "symbol": held[open_ms]["symbol"],
        "time_ms": end,
        "last": held[open_ms]["close"],
        "live": live is not None,
        "revision": max(part["revision"] for part in within["24h"]),
        "windows": {name: _window(parts) for name, parts in within.items()},
    }


def _window(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    opened, close = Fraction(parts[0]["open"]), Fraction(parts[-1]["close"])
    volume, quote = (sum(Fraction(part[name]) for part in parts) for name in ("volume", "quote_volume"))
    percent = round((close - opened) / opened * 100 * 10**4) if opened else 0  # Python rounds half to even
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
        "taker_buy_volume": text(sum(Fraction(part["taker_buy_volume"]) for part in parts)),
        "trades": sum(part["trades"] for part in parts),
        "status": STATUSES[max(STATUSES.index(part["status"]) for part in parts)],
    }


class MemoryLog:
    """One partition of the 1m topic, as `processors.rolling.restore.Log`; what lies before `first` was deleted."""

    def __init__(self, records: Iterable[Minute] = (), first: int = 0) -> None:
        self.records = list(records)
        self.first = first
        self.reads = 0
        """How many records were read back."""

    async def starts(self, partitions: Iterable[int], since_ms: int) -> dict[int, RollingStart]:
        end = self.records[-1].offset + 1 if self.records else self.first
        later = (one.offset for one in self.records if one.timestamp >= since_ms and one.offset >= self.first)
        return dict.fromkeys(partitions, RollingStart(self.first, next(later, end)))

    async def read(self, start: Mapping[int, int], stop: Mapping[int, int]) -> AsyncIterator[list[Record]]:
        found = [one for one in self.records if max(start[0], self.first) <= one.offset < stop[0]]
        self.reads += len(found)
        yield list(found)
