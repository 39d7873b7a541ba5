"""Answers that hot alone can give, made of its values as they stand: joined, never decoded. Pure.

Each function gives the body that `serving.answers` would give for the same records, or None where hot is not enough
(records are missing, or are not in the form that our codec writes): then the tiers are asked one after the other.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from market.candle import Status
from market.ids import IdRanges
from market.key import MarketKey
from market.timeframe import MINUTE_MS, Timeframe
from market.trade import numeric_id
from serving.planner import Tier

_open_ms = re.compile(rb'"open_time_ms":(\d+),').search
_time_us = re.compile(rb'"time_us":(\d+),').search
_trade_id = re.compile(rb'"trade_id":"(\d+)"').search
_last_status = re.compile(rb'"status":"([a-z]+)"\}$').search
_statuses = re.compile(rb'"status":"([a-z]+)"').findall
_STATUSES = {status.value.encode(): status for status in Status}


def candles_body(market: MarketKey, timeframe: Timeframe, values: Sequence[bytes], limit: int) -> bytes | None:
    """The answer of ``/v1/candles`` for the newest candles, oldest first; each value opens at another time."""
    if len(values) < limit:
        return None
    first, last = _open_ms(values[0]), _open_ms(values[-1])
    told = [_last_status(value) for value in values]
    if first is None or last is None or not all(told):
        return None
    from_ms, last_ms = int(first[1]), int(last[1])
    until_ms = timeframe.end_ms(last_ms)
    if _count(timeframe, from_ms, last_ms) != len(values):
        return None
    counts = Counter(_STATUSES.get(status[1]) for status in told if status)
    if None in counts:
        return None
    statuses = {status.value: count for status, count in counts.items() if status}
    worst = max((status for status in counts if status), key=lambda status: status.rank)
    tail = {
        "source": {"ranges": [{"from_ms": from_ms, "until_ms": until_ms, "tier": Tier.HOT}], "away": []},
        "coverage": {
            "from_ms": from_ms,
            "until_ms": until_ms,
            "expected": len(values),
            "present": len(values),
            "missing": [],
            "statuses": statuses,
            "worst_status": worst,
            "minutes_expected": (until_ms - from_ms) // MINUTE_MS,
            "minutes_present": (until_ms - from_ms) // MINUTE_MS,
        },
        "next_from_ms": None,
    }
    return _joined({**market._asdict(), "timeframe": timeframe}, "candles", values, tail)


def trades_body(market: MarketKey, values: Sequence[bytes], limit: int) -> bytes | None:
    """The answer of ``/v1/trades``; newest first.

    None if an id is no number: such trades are put in order by `seq`, which stands in the record.
    """
    if len(values) < limit:
        return None
    newest, oldest = _time_us(values[0]), _time_us(values[-1])
    told = [_trade_id(value) for value in values]
    numbers = [numeric_id(match[1].decode()) for match in told if match]
    if newest is None or oldest is None or None in numbers or len(numbers) < len(values):
        return None
    span = {"from_us": int(oldest[1]), "until_us": int(newest[1]) + 1}
    ids = IdRanges()
    for number in reversed(numbers):
        ids.add(number or 0)
    tail = {
        "source": {"ranges": [{"tier": Tier.HOT, **span, "count": len(values)}], "away": []},
        "coverage": span | {"id_ranges": [{"first": str(first), "last": str(last)} for first, last in ids]},
    }
    return _joined(market._asdict(), "trades", values, tail)


def tickers_body(exchange: str, tickers: Sequence[tuple[str, bytes]]) -> bytes:
    """The answer of ``/v1/tickers``; all that were asked for are there, by symbol."""
    told = [_STATUSES[status] for _, value in tickers for status in _statuses(value) if status in _STATUSES]
    tail = {
        "source": {"symbols": {symbol: Tier.HOT for symbol, _ in tickers}, "away": []},
        "coverage": {
            "expected": len(tickers),
            "present": len(tickers),
            "missing": [],
            "worst_status": max(told, key=lambda status: status.rank, default=None),
        },
    }
    return _joined({"exchange": exchange}, "tickers", [value for _, value in tickers], tail)


def _count(timeframe: Timeframe, first_ms: int, last_ms: int) -> int:
    """How many candles there are from the one that opens first to the one that opens last."""
    if timeframe is Timeframe.MO1:
        count, open_ms = 1, first_ms
        while open_ms < last_ms:
            count, open_ms = count + 1, timeframe.end_ms(open_ms)
        return count
    return (last_ms - first_ms) // timeframe.end_ms(0) + 1


def _joined(head: dict[str, Any], name: str, values: Sequence[bytes], tail: dict[str, Any]) -> bytes:
    """One JSON object of `head`, the values in a list under `name`, and `tail`."""
    begin, end = orjson.dumps(head)[:-1], orjson.dumps(tail)[1:]
    return b'%b,"%b":[%b],%b' % (begin, name.encode(), b",".join(values), end)
