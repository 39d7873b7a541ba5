"""Whether anybody has a market, and the names of markets like it."""

import asyncio
import re
import time
from collections.abc import Collection
from difflib import get_close_matches

from market.key import MarketKey
from serving.tiers import AwayError, Tiers

MOST_MARKETS = 5000
"""Of each tier, as candidates for a name that is like another."""
MOST_NAMED = 3
_LISTED_FOR_S = 30.0
_LIKENESS = 0.6
_punctuation = re.compile(r"[^0-9A-Z]+")


class UnknownMarketError(Exception):
    """Nobody has any of these markets; `nearest` are markets with names like that of the first, the likest first."""

    def __init__(self, asked: Collection[MarketKey], nearest: Collection[MarketKey]) -> None:
        names = ", ".join(str(market) for market in nearest)
        hint = f"; did you mean {names}?" if nearest else ""
        super().__init__(f"no tier has the market {' or '.join(map(str, asked))}{hint}")
        self.nearest = list(nearest)


class Markets:
    """What the tiers say of markets. Hot and warm are asked: cold holds no market that warm has never held."""

    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._listing = asyncio.Lock()
        self._listed: frozenset[MarketKey] = frozenset()
        self._listed_at_s = -_LISTED_FOR_S

    async def require_any(self, asked: Collection[MarketKey]) -> None:
        """Raise `UnknownMarketError` where hot and warm both say that they have none of these markets, one at least.

        A tier that is away may have them: then nothing is raised.
        """
        for market in asked:
            for tier in self._tiers.near.values():
                try:
                    if await tier.has_market(market):
                        return
                except AwayError:
                    return
        nearest = await asyncio.to_thread(nearest_markets, next(iter(asked)), await self.listed())
        raise UnknownMarketError(asked, nearest)

    async def listed(self) -> frozenset[MarketKey]:
        """The markets that have candles in hot or warm, at most `MOST_MARKETS` of each, half a minute old at most.

        Each tier reads much for it.
        """
        async with self._listing:
            if time.monotonic() - self._listed_at_s >= _LISTED_FOR_S:
                markets: set[MarketKey] = set()
                for tier in self._tiers.near.values():
                    try:
                        markets |= await tier.markets(MOST_MARKETS)
                    except AwayError:
                        continue  # the other tier's names are help enough
                self._listed, self._listed_at_s = frozenset(markets), time.monotonic()
            return self._listed


def nearest_markets(asked: MarketKey, markets: Collection[MarketKey]) -> list[MarketKey]:
    """At most `MOST_NAMED` markets whose names are like the one asked for, the likest first. Pure.

    Case and punctuation count for nothing (``BTCUSDT`` is ``BTC-USDT``). Where the exchange has markets, only those
    are named.
    """
    same_exchange = [market for market in markets if market.exchange == asked.exchange]
    by_name: dict[str, list[MarketKey]] = {}
    for market in sorted(same_exchange or markets):
        by_name.setdefault(_plain(market.symbol if same_exchange else str(market)), []).append(market)
    name = _plain(asked.symbol if same_exchange else str(asked))
    close = get_close_matches(name, by_name, n=MOST_NAMED, cutoff=_LIKENESS)
    return [market for like in close for market in by_name[like]][:MOST_NAMED]


def _plain(name: str) -> str:
    return _punctuation.sub("", name.upper())
