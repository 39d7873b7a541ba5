"""What the tiers gave, and the same as JSON values; records have the form they have in the topics. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from market.candle import Status
from market.codec import encode_ticker, encode_trade
from market.key import MarketKey
from market.ticker import Ticker
from serving.encoded import told_value
from serving.lengths import CandleLength
from serving.planner import Coverage, SourcedCandle, SourcedRange, SpanMs, Tier
from serving.records_coverage import RecordsCoverage
from serving.trades import SourcedTrade, trade_coverage
from sinks.record_forms import RecordKind

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CandlesAnswer:
    """Candles by open time; `next_from_ms` is where more of what was asked for begins, beyond the limit."""

    merged: dict[int, SourcedCandle]
    coverage: Coverage
    sources: list[SourcedRange]
    away: list[Tier]
    next_from_ms: int | None


@dataclass(frozen=True, kw_only=True)
class TradesAnswer:
    """The latest trades, newest first."""

    trades: list[SourcedTrade]
    away: list[Tier]


@dataclass(frozen=True, kw_only=True)
class TickersAnswer:
    """By symbol; None for those that no tier has."""

    tickers: dict[str, tuple[Ticker, Tier] | None]
    away: list[Tier]


def candles_json(market: MarketKey, length: CandleLength, answer: CandlesAnswer) -> Json:
    """The answer of ``/v1/candles``."""
    return {
        **market._asdict(),
        "timeframe": str(length),
        "candles": [orjson.Fragment(told_value(sourced.candle, length)) for sourced in answer.merged.values()],
        "source": source_json(answer.sources, answer.away),
        "coverage": coverage_json(answer.coverage),
        "next_from_ms": answer.next_from_ms,
    }


def source_json(ranges: Iterable[SourcedRange], away: Iterable[Tier]) -> Json:
    """Which tiers an answer comes from, and which did not answer."""
    return {
        "ranges": [span_json(sourced.span) | {"tier": "+".join(sourced.tiers)} for sourced in ranges],
        "away": list(away),
    }


def coverage_json(covered: Coverage) -> Json:
    """How complete candles are."""
    return span_json(covered.span) | {
        "expected": covered.expected,
        "present": covered.present,
        "missing": [span_json(span) for span in covered.missing],
        "statuses": {status.value: count for status, count in covered.statuses.items()},
        "worst_status": covered.worst,
        "minutes_expected": covered.minutes_expected,
        "minutes_present": covered.minutes_present,
    }


def records_coverage_json(covered: RecordsCoverage) -> Json:
    """How many records were given, and, of trades, how complete they are by the candles of their minutes."""
    counted = {
        "statuses": dict(covered.statuses),
        "lacking": [span_json(span) for span in covered.lacking],
        "lacking_minutes": covered.lacking_minutes,
    }
    return {
        "from_ms": covered.asked.from_ms,
        "until_ms": covered.until_ms,
        "present": covered.present,
        **(counted if covered.kind is RecordKind.TRADES else {}),
    }


def trades_json(market: MarketKey, answer: TradesAnswer) -> Json:
    """The answer of ``/v1/trades``; id ranges include both their ends."""
    covered = trade_coverage(answer.trades)
    return {
        **market._asdict(),
        "trades": [orjson.Fragment(encode_trade(sourced.trade)) for sourced in answer.trades],
        "source": {
            "ranges": [
                {"tier": tier, **_times(list(trades))}
                for tier, trades in groupby(answer.trades, key=lambda sourced: sourced.tier)
            ],
            "away": answer.away,
        },
        "coverage": covered
        and {
            "from_us": covered.from_us,
            "until_us": covered.until_us,
            "id_ranges": covered.id_ranges
            and [{"first": str(first), "last": str(last)} for first, last in covered.id_ranges],
        },
    }


def tickers_json(exchange: str, answer: TickersAnswer) -> Json:
    """The answer of ``/v1/tickers``; each window of a ticker says how complete it is."""
    present = {symbol: ticker for symbol, ticker in answer.tickers.items() if ticker is not None}
    statuses = {window.status for ticker, _ in present.values() for window in ticker.windows.values()}
    return {
        "exchange": exchange,
        "tickers": [orjson.Fragment(encode_ticker(ticker)) for ticker, _ in present.values()],
        "source": {"symbols": {symbol: tier for symbol, (_, tier) in present.items()}, "away": answer.away},
        "coverage": {
            "expected": len(answer.tickers),
            "present": len(present),
            "missing": [symbol for symbol in answer.tickers if symbol not in present],
            "worst_status": _worst(statuses),
        },
    }


def _worst(statuses: set[Status]) -> Status | None:
    return max(statuses, key=lambda status: status.rank, default=None)


def span_json(span: SpanMs) -> Json:
    """Its bounds."""
    return {"from_ms": span.from_ms, "until_ms": span.until_ms}


def _times(trades: list[SourcedTrade]) -> Json:
    """Of trades that are newest first."""
    return {"from_us": trades[-1].trade.time_us, "until_us": trades[0].trade.time_us + 1, "count": len(trades)}
