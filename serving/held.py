"""What each tier holds, asked in the background, so that no question has to wait for it.

Hot: the oldest candle of each market that was asked about lately; warm: the months that have candles; cold: the days
that have files. All of it is where a tier *may* hold something: outside it holds nothing, but for what came since.
Newer candles than known are always looked for in hot and in warm.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from market.fields import MAX_TIME_US
from market.key import MarketKey
from market.timeframe import Timeframe
from serving.planner import SpanMs, Tier, TierSpans
from serving.tiers import AwayError, Tiers
from sinks.record_forms import RecordKind

NEAR_EVERY_S = 10.0
"""Between two looks at hot and warm; also how long a tier that was away is passed over before it is asked again."""
COLD_EVERY_S = 60.0
MOST_MARKETS = 2_000
"""Of hot, a market and timeframe each: the one that was asked about longest ago is let go."""
RECORDS_BY_TIME = (RecordKind.TRADES, RecordKind.SIGNALS, RecordKind.BARS, RecordKind.FUNDING, RecordKind.GAPS)
_EVER = SpanMs(0, MAX_TIME_US // 1000)
_NOBODY = (MarketKey("-", "-"), Timeframe.M1)


class HeldSpans:
    """What is known of the tiers now."""

    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._hot: OrderedDict[tuple[MarketKey, Timeframe], int] = OrderedDict()
        self._warm: list[SpanMs] = [_EVER]
        self._cold: dict[str, list[SpanMs]] | None = None
        self._warm_records: dict[RecordKind, list[SpanMs]] = {}
        self._cold_records: dict[RecordKind, dict[str, list[SpanMs]]] = {}
        self._away: set[Tier] = set()
        self._looked: set[Tier] = set()
        self._looking = asyncio.Lock()

    async def of(self, market: MarketKey, timeframe: Timeframe = Timeframe.M1) -> list[TierSpans]:
        """Where each tier may hold candles of a market, nearest first; tiers that are away are left out.

        Hot is asked itself about a market that it did not have, or that nobody has asked about for long.
        """
        await self._first_look()
        spans = {
            Tier.HOT: await self._hot_spans((market, timeframe)),
            Tier.WARM: self._warm,
            Tier.COLD: [_EVER] if self._cold is None else self._cold.get(market.exchange, []),
        }
        return [TierSpans(tier, spans[tier]) for tier in Tier if tier not in self._away]

    async def of_records(self, kind: RecordKind, market: MarketKey) -> list[TierSpans]:
        """Where warm and cold may hold records of a kind; a tier that is away is left out.

        Warm's newest span goes on; if it has none, there is none. Cold's are those of the whole exchange.
        """
        await self._first_look()
        spans = {
            Tier.WARM: self._warm_records.get(kind, []),
            Tier.COLD: self._cold_records.get(kind, {}).get(market.exchange, []),
        }
        return [TierSpans(tier, held) for tier, held in spans.items() if tier not in self._away]

    async def away(self) -> set[Tier]:
        """The tiers that did not answer when they were asked last, here."""
        await self._first_look()
        return set(self._away)

    async def look(self, tier: Tier) -> None:
        """Ask a tier what it holds."""
        try:
            if tier is Tier.HOT:
                await self._look_at_hot()
            elif tier is Tier.WARM:
                self._warm = _open_ended(await self._tiers.warm.spans())
                records = await self._tiers.warm.record_spans()
                self._warm_records = {kind: _open_ended(spans) for kind, spans in records.items() if spans}
            else:
                self._cold = await self._tiers.cold.record_dates(RecordKind.CANDLES)
                self._cold_records = {kind: await self._tiers.cold.record_dates(kind) for kind in RECORDS_BY_TIME}
        except AwayError:
            self._away.add(tier)
        else:
            self._away.discard(tier)
        self._looked.add(tier)

    async def looking(self) -> None:
        """Look at every tier again and again, until cancelled."""
        every_s = {Tier.HOT: NEAR_EVERY_S, Tier.WARM: NEAR_EVERY_S, Tier.COLD: COLD_EVERY_S}

        async def looking_at(tier: Tier) -> None:
            while True:
                await self.look(tier)
                await asyncio.sleep(NEAR_EVERY_S if tier in self._away else every_s[tier])

        async with asyncio.TaskGroup() as group:
            for tier in Tier:
                group.create_task(looking_at(tier))

    async def _first_look(self) -> None:
        """Only the first questions wait for it."""
        if len(self._looked) < len(Tier):
            async with self._looking:
                await asyncio.gather(*(self.look(tier) for tier in Tier if tier not in self._looked))

    async def _hot_spans(self, key: tuple[MarketKey, Timeframe]) -> list[SpanMs]:
        if key in self._hot:
            self._hot.move_to_end(key)
        elif Tier.HOT in self._away:
            return []
        else:
            try:
                [oldest_ms] = await self._tiers.hot.oldest_ms([key])
            except AwayError:
                return [_EVER]  # asked again, it is named as away
            if oldest_ms is None:
                return []
            self._hot[key] = oldest_ms
            if len(self._hot) > MOST_MARKETS:
                self._hot.popitem(last=False)
        return [SpanMs(self._hot[key], _EVER.until_ms)]

    async def _look_at_hot(self) -> None:
        keys = list(self._hot) or [_NOBODY]
        for key, oldest_ms in zip(keys, await self._tiers.hot.oldest_ms(keys), strict=True):
            if oldest_ms is None:
                self._hot.pop(key, None)
            elif key in self._hot:
                self._hot[key] = oldest_ms


def _open_ended(spans: Sequence[SpanMs]) -> list[SpanMs]:
    """The newest span goes on; a store without any may get its first at any time."""
    return [*spans[:-1], SpanMs(spans[-1].from_ms, _EVER.until_ms)] if spans else [_EVER]
