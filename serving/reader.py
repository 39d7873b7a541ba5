"""Questions for trades and tickers, answered: tier after tier, without those that are away."""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from market.key import MarketKey
from market.ticker import Ticker
from market.trade import Trade
from serving.answers import TickersAnswer, TradesAnswer
from serving.errors import NoTierError
from serving.planner import Tier
from serving.tiers import AwayError, Tiers
from serving.trades import latest, tier_to_ask

Answer = TypeVar("Answer")


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


async def _or_none(answer: Awaitable[Answer]) -> Answer | None:
    try:
        return await answer
    except AwayError:
        return None


def _away(answers: Mapping[Tier, object | None]) -> list[Tier]:
    """The tiers that did not answer; `NoTierError` where none did that was asked."""
    away = [tier for tier, answer in answers.items() if answer is None]
    if away and len(away) == len(answers):
        raise NoTierError(away)
    return away
