"""Questions to the tiers, answered: asks what the planner says, and goes on without a tier that is away."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from market.candle import Candle
from market.ticker import Ticker
from market.timeframe import Timeframe
from market.trade import Trade
from serving.planner import Coverage, Sourced, SourcedRange, SpanMs, Tier, coverage, merge, opens_of, questions, sources
from serving.tiers import AwayError, HotTier, Tiers, WarmTier
from serving.trades import SourcedTrade, latest, tier_to_ask

Answer = TypeVar("Answer")


class NoTierError(Exception):
    """Every tier that could have answered is away."""


@dataclass(frozen=True, kw_only=True)
class CandlesFound:
    """Candles by open time; `next_from_ms` is where more of what was asked for begins, beyond the limit."""

    merged: dict[int, Sourced]
    coverage: Coverage
    sources: list[SourcedRange]
    away: list[Tier]
    next_from_ms: int | None


@dataclass(frozen=True, kw_only=True)
class TradesFound:
    """The latest trades, newest first."""

    trades: list[SourcedTrade]
    away: list[Tier]


@dataclass(frozen=True, kw_only=True)
class TickersFound:
    """By symbol; None for those that no tier has."""

    tickers: dict[str, tuple[Ticker, Tier] | None]
    away: list[Tier]


async def find_candles(
    tiers: Tiers,
    exchange: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    from_ms: int | None,
    until_ms: int | None,
    limit: int,
    now_ms: int,
) -> CandlesFound:
    """Closed candles, as `planner.opens_of` chooses them.

    Without `until_ms` they end with the newest that hot has (a simulated market is behind the clock), else now.
    """
    answers: dict[Tier, Sequence[Candle] | None] = {}
    newest_ms = now_ms
    if until_ms is None:
        try:
            newest = await tiers.hot.newest(exchange, symbol, timeframe)
        except AwayError:
            answers[Tier.HOT] = None
        else:
            newest_ms = now_ms if newest is None else newest.close_time_ms + 1
    opens = opens_of(
        timeframe,
        from_ms=from_ms,
        until_ms=until_ms,
        newest_ms=newest_ms,
        limit=limit if from_ms is None else limit + 1,
    )
    opens, beyond = opens[:limit], opens[limit:]
    while asked := questions(timeframe, opens, answers):
        answers |= await _ask(tiers, exchange, symbol, timeframe, asked)
    merged = merge(opens, answers)
    return CandlesFound(
        merged=merged,
        coverage=coverage(timeframe, opens, merged),
        sources=sources(timeframe, merged),
        away=_away(answers),
        next_from_ms=beyond[0] if beyond else None,
    )


async def find_trades(tiers: Tiers, exchange: str, symbol: str, *, limit: int) -> TradesFound:
    """The latest trades; cold is not asked, for it is always behind warm."""
    answers: dict[Tier, Sequence[Trade] | None] = {}
    stores: dict[Tier, HotTier | WarmTier] = {Tier.HOT: tiers.hot, Tier.WARM: tiers.warm}
    while (tier := tier_to_ask(answers, limit)) is not None:
        answers[tier] = await _or_none(stores[tier].trades(exchange, symbol, limit))
    return TradesFound(trades=latest(answers, limit), away=_away(answers))


async def find_tickers(tiers: Tiers, exchange: str, symbols: Sequence[str]) -> TickersFound:
    """The newest ticker of each symbol, from hot; from warm those that hot has not."""
    found: dict[str, tuple[Ticker, Tier] | None] = dict.fromkeys(symbols)
    answered: dict[Tier, bool | None] = {}
    for tier, store in ((Tier.HOT, tiers.hot), (Tier.WARM, tiers.warm)):
        lacking = [symbol for symbol, ticker in found.items() if ticker is None]
        if not lacking:
            break
        answered[tier] = None
        with suppress(AwayError):
            for symbol in lacking:
                ticker = await store.ticker(exchange, symbol)
                found[symbol] = None if ticker is None else (ticker, tier)
            answered[tier] = True
    return TickersFound(tickers=found, away=_away(answered))


async def _ask(
    tiers: Tiers, exchange: str, symbol: str, timeframe: Timeframe, asked: dict[Tier, SpanMs]
) -> dict[Tier, Sequence[Candle] | None]:
    found = await asyncio.gather(
        *(_or_none(tiers[tier].candles(exchange, symbol, timeframe, span)) for tier, span in asked.items())
    )
    return dict(zip(asked, found, strict=True))


async def _or_none(answer: Awaitable[Answer]) -> Answer | None:
    try:
        return await answer
    except AwayError:
        return None


def _away(answers: Mapping[Tier, object | None]) -> list[Tier]:
    """The tiers that did not answer; `NoTierError` where none did that was asked."""
    away = [tier for tier, answer in answers.items() if answer is None]
    if away and len(away) == len(answers):
        raise NoTierError(f"no tier can answer now: {', '.join(away)} away")
    return away
