"""Klines: which candles are asked for, and each as a row. Pure.

Source: Binance's spot documentation, `rest-api.md`, "Kline/Candlestick data": a kline is known by its open time, and
``startTime`` and ``endTime`` are of open times, both inclusive, in UTC whatever the time zone.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from market.candle import Status
from market.key import MarketKey
from market.timeframe import HOUR_MS, MINUTE_MS
from serving.binance.parameters import SpotApiError, SpotParameters, invalid
from serving.encoded import EncodedCandle
from serving.lengths import CandleLength
from serving.planner import Tier
from serving.present import PresentCandles, PresentQuestion

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
_EARLIEST_MS, _LATEST_MS = -12 * HOUR_MS, 14 * HOUR_MS
_zone = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?", re.ASCII).fullmatch
_PRICES = ("open", "high", "low", "close", "volume")
_SUMS = ("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")


def klines_question(market: MarketKey, given: SpotParameters) -> PresentQuestion:
    """What is asked for. Raises `SpotApiError`."""
    start_ms, end_ms = given.time_ms("startTime"), given.time_ms("endTime")
    return PresentQuestion(
        market=market,
        length=_length(given.text("interval"), given.optional("timeZone", "0")),
        from_ms=start_ms or 0,
        until_ms=None if end_ms is None else end_ms + 1,
        limit=given.limit,
        is_last=start_ms is None,
    )


def _length(interval: str, zone: str) -> CandleLength:
    if interval not in INTERVALS:
        raise SpotApiError(-1120, f"Invalid interval. There are {', '.join(INTERVALS)}.")
    return CandleLength.parse(interval)._replace(offset_ms=_offset_ms(zone))


def _offset_ms(zone: str) -> int:
    """How far a time zone (``-1:00``, ``05:45``, ``8``) is ahead of UTC."""
    match = _zone(zone)
    if match is None:
        raise invalid("timeZone")
    offset_ms = int(match[2]) * HOUR_MS + int(match[3] or 0) * MINUTE_MS
    offset_ms = -offset_ms if match[1] == "-" else offset_ms
    if not _EARLIEST_MS <= offset_ms <= _LATEST_MS:
        raise invalid("timeZone", "it must be from -12:00 to +14:00")
    return offset_ms


def kline_row(candle: EncodedCandle, *, is_micro: bool) -> list[Any]:
    """The twelve values of a kline; the last is not used."""
    fields = orjson.loads(candle.value)
    open_time, end_time = fields["open_time_ms"], fields["close_time_ms"] + 1
    unit = 1_000 if is_micro else 1
    return [
        open_time * unit,
        *(fields[name] for name in _PRICES),
        end_time * unit - 1,
        *(fields[name] for name in _SUMS),
        "0",
    ]


def coverage_headers(present: PresentCandles) -> dict[str, str]:
    """What the rows cannot say: how complete they are, where they come from, and which tiers did not answer."""
    candles = [sourced.candle for sourced in present.candles.values()]
    closed = [candle for candle in candles if candle.status is not Status.OPEN]
    lacking = sum(present.length.minutes(candle.open_ms) - candle.minutes for candle in closed)
    worst = max((candle.status for candle in closed), key=lambda status: status.rank, default=None)
    counts = Counter(tier for sourced in present.candles.values() for tier in sourced.tiers)
    told = {"expected": present.expected, "present": len(candles), "open": len(candles) - len(closed)}
    words = [f"{name}={count}" for name, count in told.items()]
    words += [f"minutes_missing={lacking}"] + ([f"worst={worst}"] if worst else [])
    return {"X-Candlewick-Coverage": ", ".join(words)} | source_headers(counts, present.away)


def source_headers(tiers: Iterable[Tier], away: Iterable[Tier]) -> dict[str, str]:
    """The tiers that an answer comes from, and those that did not answer; nearest first."""
    named = {"X-Candlewick-Source": set(tiers), "X-Candlewick-Away": set(away)}
    return {name: ", ".join(tier for tier in Tier if tier in those) for name, those in named.items() if those}
