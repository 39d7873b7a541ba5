"""Which candle of a market comes next to a time, in any tier: how what lies between two candles is stepped over."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

from market.key import MarketKey
from market.timeframe import DAY_MS, Timeframe
from serving.errors import TooSparseError
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.planner import SpanMs, Tier
from serving.tiers import AwayError, Tiers

MOST_COLD_DAYS = 31
"""Days of files that are looked through for one candle: cold alone cannot say which days a market has."""

Answer = TypeVar("Answer")


class Neighbours:
    """Of one market and one length of candles; tiers that are away are passed over, and named in `away`."""

    def __init__(self, tiers: Tiers, held: HeldSpans, market: MarketKey, length: CandleLength) -> None:
        self._tiers = tiers
        self._held = held
        self._market = market
        self._timeframes = {Timeframe.M1, length.timeframe or Timeframe.M1}
        self.away: set[Tier] = set()

    async def next_ms(self, from_ms: int, until_ms: int) -> int | None:
        """The open time of the first candle that opens in [from_ms, until_ms): of a minute, or of the length itself.

        Raises `TooSparseError` where too many days of files would have to be looked through.
        """
        hot, warm = self._tiers.hot, self._tiers.warm
        near = await asyncio.gather(
            *(self._or_none(Tier.HOT, hot.next_open_ms(self._market, each, from_ms)) for each in self._timeframes),
            self._or_none(Tier.WARM, warm.next_open_ms(self._market, from_ms)),
        )
        end_ms = min((time_ms for time_ms in near if time_ms is not None), default=until_ms)
        end_ms = min(end_ms, until_ms)
        days = (span for held in await self._cold_spans() for span in _days(held, SpanMs(from_ms, end_ms)))
        minutes = await self._first_of_cold(days)
        opens = [time_ms for time_ms in (*near, *minutes[:1]) if time_ms is not None and time_ms < until_ms]
        return min(opens, default=None)

    async def previous_ms(self, before_ms: int, from_ms: int = 0) -> int | None:
        """The open time of the last candle that opens in [from_ms, before_ms); as `next_ms`."""
        hot, warm = self._tiers.hot, self._tiers.warm
        near = await asyncio.gather(
            *(
                self._or_none(Tier.HOT, hot.previous_open_ms(self._market, each, before_ms))
                for each in self._timeframes
            ),
            self._or_none(Tier.WARM, warm.previous_open_ms(self._market, before_ms)),
        )
        begin_ms = max((time_ms for time_ms in near if time_ms is not None), default=from_ms)
        begin_ms = max(begin_ms, from_ms)
        spans = reversed(await self._cold_spans())
        days = (span for held in spans for span in reversed([*_days(held, SpanMs(begin_ms, before_ms))]))
        minutes = await self._first_of_cold(days)
        opens = [time_ms for time_ms in (*near, *minutes[-1:]) if time_ms is not None and time_ms >= from_ms]
        return max(opens, default=None)

    async def _first_of_cold(self, days: Iterator[SpanMs]) -> list[int]:
        """The open times of the first of these days that has any."""
        for number, day in enumerate(days):
            if Tier.COLD in self.away:
                break
            if number >= MOST_COLD_DAYS:
                raise TooSparseError(
                    f"{MOST_COLD_DAYS} days of files have no candle of {self._market}: ask for a time "
                    "nearer to its candles"
                )
            candles = await self._or_none(Tier.COLD, self._tiers.cold.minutes(self._market, [day]))
            if candles:
                return [candle.open_ms for candle in candles]
        return []

    async def _cold_spans(self) -> list[SpanMs]:
        held = await self._held.of(self._market)
        return [span for tier, spans in held if tier is Tier.COLD for span in spans]

    async def _or_none(self, tier: Tier, question: Awaitable[Answer]) -> Answer | None:
        try:
            return await question
        except AwayError:
            self.away.add(tier)
            return None


def _days(held: SpanMs, wanted: SpanMs) -> Iterator[SpanMs]:
    """The days of both, in order, the first and the last in part."""
    from_ms, until_ms = max(held.from_ms, wanted.from_ms), min(held.until_ms, wanted.until_ms)
    while from_ms < until_ms:
        end_ms = min(from_ms - from_ms % DAY_MS + DAY_MS, until_ms)
        yield SpanMs(from_ms, end_ms)
        from_ms = end_ms
