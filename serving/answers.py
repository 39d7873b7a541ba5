"""What was found, as JSON values; records keep the very form they have in the topics. Pure."""

from itertools import groupby
from typing import Any

import orjson

from market.candle import Status
from market.codec import encode_candle, encode_ticker, encode_trade
from market.timeframe import Timeframe
from serving.planner import SpanMs
from serving.reader import CandlesFound, TickersFound, TradesFound
from serving.trades import SourcedTrade, trade_coverage

Json = dict[str, Any]


def candles_answer(exchange: str, symbol: str, timeframe: Timeframe, found: CandlesFound) -> Json:
    """The answer of ``/v1/candles``."""
    held = found.coverage
    return {
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": timeframe,
        "candles": [orjson.Fragment(encode_candle(sourced.candle)) for sourced in found.merged.values()],
        "source": {
            "ranges": [_span(stretch.span) | {"tier": stretch.tier} for stretch in found.sources],
            "away": found.away,
        },
        "coverage": _span(held.span)
        | {
            "expected": held.expected,
            "present": held.present,
            "missing": [_span(span) for span in held.missing],
            "statuses": {status.value: count for status, count in held.statuses.items()},
            "worst_status": held.worst,
        },
        "next_from_ms": found.next_from_ms,
    }


def trades_answer(exchange: str, symbol: str, found: TradesFound) -> Json:
    """The answer of ``/v1/trades``; id ranges have both ends in them."""
    covered = trade_coverage(found.trades)
    return {
        "exchange": exchange,
        "symbol": symbol,
        "trades": [orjson.Fragment(encode_trade(sourced.trade)) for sourced in found.trades],
        "source": {
            "ranges": [
                {"tier": tier, **_times(list(trades))}
                for tier, trades in groupby(found.trades, key=lambda sourced: sourced.tier)
            ],
            "away": found.away,
        },
        "coverage": covered
        and {
            "from_us": covered.from_us,
            "until_us": covered.until_us,
            "id_ranges": covered.id_ranges
            and [{"first": str(first), "last": str(last)} for first, last in covered.id_ranges],
        },
    }


def tickers_answer(exchange: str, found: TickersFound) -> Json:
    """The answer of ``/v1/tickers``; how complete a ticker is, its windows say themselves."""
    present = {symbol: ticker for symbol, ticker in found.tickers.items() if ticker is not None}
    statuses = {window.status for ticker, _ in present.values() for window in ticker.windows.values()}
    return {
        "exchange": exchange,
        "tickers": [orjson.Fragment(encode_ticker(ticker)) for ticker, _ in present.values()],
        "source": {"symbols": {symbol: tier for symbol, (_, tier) in present.items()}, "away": found.away},
        "coverage": {
            "expected": len(found.tickers),
            "present": len(present),
            "missing": [symbol for symbol in found.tickers if symbol not in present],
            "worst_status": _worst(statuses),
        },
    }


def _worst(statuses: set[Status]) -> Status | None:
    return max(statuses, key=lambda status: status.rank, default=None)


def _span(span: SpanMs) -> Json:
    return {"from_ms": span.from_ms, "until_ms": span.until_ms}


def _times(trades: list[SourcedTrade]) -> Json:
    """Of trades that are newest first."""
    return {"from_us": trades[-1].trade.time_us, "until_us": trades[0].trade.time_us + 1, "count": len(trades)}
