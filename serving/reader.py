"""Questions to the tiers, answered: asks what the planner says, and goes on without a tier that is away."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from market.candle import Candle
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import Timeframe
from market.trade import Trade
from serving.answers import CandlesAnswer, TickersAnswer, TradesAnswer
from serving.planner import (
    SpanMs,
    Tier,
    coverage,
    merge,
    opens_of,
    questions,
    sources,
)
from serving.tiers import AwayError, Tiers
from serving.trades import latest, tier_to_ask

Answer = TypeVar("Answer")


class NoTierError(Exception):
    """Every tier that could have answered is away."""


async def read_candles(
    tiers: Tiers,
    market: MarketKey,
    timeframe: Timeframe,
    *,
    from_ms: int | None,
    until_ms: int | None,
    limit: int,
    now_ms: int,
) -> CandlesAnswer:
    """Closed candles, as `planner.opens_of` chooses them. Raises `NoTierError`.

    Without `until_ms` they end with the newest that hot has (a simulated market is behind the clock), else now.
    """
    answers: dict[Tier, Sequence[Candle] | None] = {}
    newest_ms = now_ms
    if until_ms is None:
        try:
            newest = await tiers.hot.newest(market, timeframe)
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
        answers |= await _ask(tiers, market, timeframe, asked)
    merged = merge(opens, answers)
    return CandlesAnswer(
        merged=merged,
        coverage=coverage(timeframe, opens, merged),
        sources=sources(timeframe, merged),
        away=_away(answers),
        next_from_ms=beyond[0] if beyond else None,
    )


async def read_trades(tiers: Tiers, market: MarketKey, *, limit: int) -> TradesAnswer:
    """The latest trades; cold is not asked, for it is always behind warm. Raises `NoTierError`."""
    answers: dict[Tier, Sequence[Trade] | None] = {}
    while (tier := tier_to_ask(answers, limit)) is not None:
        answers[tier] = await _or_none(tiers.near[tier].trades(market, limit))
    return TradesAnswer(trades=latest(answers, limit), away=_away(answers))


async def read_tickers(tiers: Tiers, markets: Sequence[MarketKey]) -> TickersAnswer:
    """The newest ticker of each market, from hot; from warm those that hot has not. Raises `NoTierError`."""
    tickers: dict[str, tuple[Ticker, Tier] | None] = {market.symbol: None for market in markets}
    answered: dict[Tier, bool | None] = {}
    for tier, store in tiers.near.items():
        lacking = [market for market in markets if tickers[market.symbol] is None]
        if not lacking:
            break
        answered[tier] = None
        with suppress(AwayError):
            for market in lacking:
                ticker = await store.ticker(market)
                tickers[market.symbol] = None if ticker is None else (ticker, tier)
            answered[tier] = True
    return TickersAnswer(tickers=tickers, away=_away(answered))


async def _ask(
    tiers: Tiers, market: MarketKey, timeframe: Timeframe, asked: dict[Tier, SpanMs]
) -> dict[Tier, Sequence[Candle] | None]:
    answers = await asyncio.gather(
        *(_or_none(tiers[tier].candles(market, timeframe, span)) for tier, span in asked.items())
    )
    return dict(zip(asked, answers, strict=True))


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
