"""All that is told of some markets: their figures, what stood out, and above all what is missing. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from market.feed import FeedEvent
from market.key import MarketKey
from market.signal import Signal
from serving.analysis.figures import (
    CandleFigures,
    CorrelationFigure,
    MarketFigures,
    correlations,
    market_figures,
    returns_of,
)
from serving.planner import Coverage, Tier


class ReadMarket(NamedTuple):
    """What was read of a market. None: that was not read, and is in `unseen`."""

    symbol: str
    candles: Sequence[CandleFigures]
    coverage: Coverage
    away: Collection[Tier]
    signals: Sequence[Signal] | None
    gaps: Sequence[FeedEvent] | None
    unseen: Sequence[str] = ()


class MissingSpan(Struct, frozen=True, kw_only=True):
    """[from_ms, until_ms), UTC milliseconds, without candles."""

    from_ms: int
    until_ms: int


class Completeness(Struct, frozen=True, kw_only=True):
    """Which candles are there, and how far they can be trusted."""

    from_ms: int
    until_ms: int
    expected: int
    present: int
    minutes_expected: int
    minutes_present: int
    worst_status: str | None
    statuses: dict[str, int]
    missing_spans: int
    missing: list[MissingSpan]
    """Of these, the longest ones."""


class Anomalies(Struct, frozen=True, kw_only=True):
    """Signals by ``kind severity``, and the newest of them."""

    counts: dict[str, int]
    newest: list[Signal]


class GapFigures(Struct, frozen=True, kw_only=True):
    """What the feed missed, by what was told of it, and the newest of these."""

    counts: dict[str, int]
    newest: list[FeedEvent]


class MarketStatement(Struct, frozen=True, kw_only=True):
    """Of one market."""

    symbol: str
    completeness: Completeness
    figures: MarketFigures | None
    """None: there is no candle."""
    anomalies: Anomalies | None
    gaps: GapFigures | None


class Statement(Struct, frozen=True, kw_only=True):
    """Of all markets that were asked for."""

    exchange: str
    timeframe: str
    markets: list[MarketStatement]
    correlations: list[CorrelationFigure]
    away: list[Tier]
    unseen: list[str]
    """What would belong to it and was not read, in sentences."""


class Detail(NamedTuple):
    """How much of each list is told at most."""

    spans: int
    signals: int
    gaps: int
    correlations: int


FULL = Detail(spans=20, signals=20, gaps=10, correlations=45)


def visible_signals(signals: Sequence[Signal], exchanges: Collection[str] | None) -> list[Signal]:
    """Those that are not also about a market of an exchange that the caller's key is not for; None: it is for all."""
    return [
        signal
        for signal in signals
        if exchanges is None or signal.other is None or MarketKey.parse(signal.other).exchange in exchanges
    ]


def statement_of(exchange: str, timeframe: str, read: Sequence[ReadMarket]) -> Statement:
    """The statement in full detail."""
    returns: Mapping[str, Mapping[int, float]] = {market.symbol: returns_of(market.candles) for market in read}
    away = {tier for market in read for tier in market.away}
    return Statement(
        exchange=exchange,
        timeframe=timeframe,
        markets=[_market_statement(market) for market in read],
        correlations=correlations(returns)[: FULL.correlations],
        away=[tier for tier in Tier if tier in away],
        unseen=list(dict.fromkeys(sentence for market in read for sentence in market.unseen)),
    )


def cut(statement: Statement, detail: Detail, markets: int) -> Statement:
    """The same with less: counts stay."""
    return msgspec.structs.replace(
        statement,
        markets=[_cut_market(market, detail) for market in statement.markets[:markets]],
        correlations=statement.correlations[: detail.correlations],
    )


def _cut_market(market: MarketStatement, detail: Detail) -> MarketStatement:
    replace = msgspec.structs.replace
    return replace(
        market,
        completeness=replace(market.completeness, missing=market.completeness.missing[: detail.spans]),
        anomalies=market.anomalies and replace(market.anomalies, newest=market.anomalies.newest[: detail.signals]),
        gaps=market.gaps and replace(market.gaps, newest=market.gaps.newest[: detail.gaps]),
    )


def _market_statement(read: ReadMarket) -> MarketStatement:
    covered = read.coverage
    longest = sorted(covered.missing, key=lambda span: span.from_ms - span.until_ms)
    return MarketStatement(
        symbol=read.symbol,
        completeness=Completeness(
            from_ms=covered.span.from_ms,
            until_ms=covered.span.until_ms,
            expected=covered.expected,
            present=covered.present,
            minutes_expected=covered.minutes_expected,
            minutes_present=covered.minutes_present,
            worst_status=covered.worst,
            statuses={status.value: count for status, count in covered.statuses.items()},
            missing_spans=len(covered.missing),
            missing=[MissingSpan(from_ms=span.from_ms, until_ms=span.until_ms) for span in longest[: FULL.spans]],
        ),
        figures=market_figures(read.candles) if read.candles else None,
        anomalies=None if read.signals is None else _anomalies(read.signals),
        gaps=None if read.gaps is None else _gaps(read.gaps),
    )


def _anomalies(signals: Sequence[Signal]) -> Anomalies:
    counts = Counter(f"{signal.kind} {signal.severity}" for signal in signals)
    newest = sorted(signals, key=lambda signal: signal.time_ms, reverse=True)
    return Anomalies(counts=dict(counts), newest=newest[: FULL.signals])


def _gaps(events: Sequence[FeedEvent]) -> GapFigures:
    newest = sorted(events, key=lambda event: event.at_ms, reverse=True)
    return GapFigures(counts=dict(Counter(event.event.value for event in events)), newest=newest[: FULL.gaps])
