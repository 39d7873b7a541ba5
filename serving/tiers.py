"""The tiers behind one face: what each can be asked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import pyarrow as pa

from market.candle import Candle
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import MINUTE_MS, MINUTE_US, Timeframe
from market.trade import Trade
from runtime.settings import Settings, clickhouse_address, redis_address
from serving.cold_tier import ColdTier
from serving.encoded import EncodedCandle, encoded_value, encoded_window
from serving.guard import AwayError, Guard, MinuteSpan, RecordTable, TierStore, is_in
from serving.lengths import MINUTE, CandleLength
from serving.planner import RevisionChoice, SpanMs, Tier
from sinks.clickhouse import connect as clickhouse
from sinks.clickhouse import read as warm
from sinks.clickhouse import read_candles as warm_candles
from sinks.clickhouse import read_records as warm_records
from sinks.clickhouse import read_tables as warm_tables
from sinks.clickhouse.read_records import RecordPage
from sinks.record_forms import Cursor, RecordKind, times_us
from sinks.redis import connect as redis
from sinks.redis import keys
from sinks.redis import read as hot
from sinks.redis.changes import KeyChanges

__all__ = ["AwayError", "ColdTier", "MinuteSpan", "RecordTable", "TierStore"]  # besides those below

_NEAR_S = 5.0
"""How long hot and warm may take before they count as away."""
_NOBODY = MarketKey("-", "-")
"""Asked for to see whether a tier answers."""

Answer = TypeVar("Answer")


class NearTier(TierStore, Protocol):
    """What hot and warm can be asked besides. All raise `AwayError`."""

    async def trades(self, market: MarketKey, limit: int) -> list[Trade]:
        """The latest trades, newest first."""

    async def ticker(self, market: MarketKey) -> Ticker | None:
        """The newest ticker."""

    async def has_market(self, market: MarketKey) -> bool:
        """Whether anything of the market is held."""

    async def markets(self, most: int) -> set[MarketKey]:
        """The markets that have candles there, at most so many."""


class HotTier:
    """Redis: the latest trades, recent candles of every timeframe, tickers. Its methods are those of `NearTier`."""

    def __init__(self, settings: Settings) -> None:
        url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = redis.connect(url)
        self._guard = Guard(Tier.HOT, lambda: redis.redis_errors(url), _NEAR_S)

    async def minutes(
        self,
        market: MarketKey,
        spans: Sequence[SpanMs],
        revision: RevisionChoice = RevisionChoice.LATEST,  # noqa: ARG002  # it has one of each
    ) -> list[EncodedCandle]:
        candles = await self.candles(market, Timeframe.M1, SpanMs(spans[0].from_ms, spans[-1].until_ms))
        return [candle for candle in candles if is_in(candle.open_ms, spans)]

    async def candles(self, market: MarketKey, timeframe: Timeframe, span: SpanMs) -> list[EncodedCandle]:
        """Closed candles that open in the span, oldest first."""
        length = CandleLength.of(timeframe)

        async def question() -> list[EncodedCandle]:
            values = await hot.read_candle_values(
                self._client, self._prefix, market, from_ms=span.from_ms, until_ms=span.until_ms, timeframe=timeframe
            )
            return [encoded_value(value, length) for value in values]

        return await self._guard.ask(question)

    async def oldest_ms(self, asked: Sequence[tuple[MarketKey, Timeframe]]) -> list[int | None]:
        """The open time of the oldest candle of each of these that is held; None where none is."""
        return await self._guard.ask(lambda: hot.read_oldest_ms(self._client, self._prefix, asked))

    async def newest(self, market: MarketKey, timeframe: Timeframe) -> Candle | None:
        """The closed candle that opens last."""
        return await self._guard.ask(
            lambda: hot.read_newest_candle(self._client, self._prefix, market, timeframe=timeframe)
        )

    async def candle_values(self, market: MarketKey, timeframe: Timeframe, limit: int) -> list[bytes]:
        """The newest closed candles as they stand, oldest first."""
        return await self._guard.ask(
            lambda: hot.read_newest_candle_values(self._client, self._prefix, market, timeframe, limit=limit)
        )

    async def trade_values(self, market: MarketKey, limit: int) -> list[bytes]:
        """The latest trades as they stand, newest first."""
        return await self._guard.ask(lambda: hot.read_trade_values(self._client, self._prefix, market, limit=limit))

    async def ticker_value(self, market: MarketKey) -> bytes | None:
        """The newest ticker as it stands."""
        return await self._guard.ask(lambda: hot.read_ticker_value(self._client, self._prefix, market))

    def candles_key(self, market: MarketKey, timeframe: Timeframe) -> str:
        """The key whose changes change `candle_values`."""
        return keys.candles_key(self._prefix, str(market), timeframe)

    def trades_key(self, market: MarketKey) -> str:
        """The key whose changes change `trade_values`."""
        return keys.trades_key(self._prefix, str(market))

    def ticker_key(self, market: MarketKey) -> str:
        """The key whose changes change `ticker_value`."""
        return keys.ticker_key(self._prefix, str(market))

    def changes(self, on_change: Callable[[str], None], on_loss: Callable[[], None]) -> KeyChanges:
        """Who tells that a key changed."""
        return KeyChanges(self._client, on_change, on_loss)

    async def trades(self, market: MarketKey, limit: int) -> list[Trade]:
        return await self._guard.ask(lambda: hot.read_trades(self._client, self._prefix, market, limit=limit))

    async def ticker(self, market: MarketKey) -> Ticker | None:
        return await self._guard.ask(lambda: hot.read_ticker(self._client, self._prefix, market))

    async def has_market(self, market: MarketKey) -> bool:
        return await self._guard.ask(lambda: hot.is_market_held(self._client, self._prefix, market))

    async def markets(self, most: int) -> set[MarketKey]:
        return await self._guard.ask(lambda: hot.read_markets(self._client, self._prefix, most=most))

    async def close(self) -> None:
        await self._client.aclose()


class WarmTier:
    """ClickHouse: every trade, 1m candle and ticker. Its methods are those of `NearTier`.

    It is connected when it is first asked, and again after it was away.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = clickhouse_address(settings)
        self._database = settings.clickhouse_database
        self._connecting = asyncio.Lock()
        self._client: clickhouse.Client | None = None
        self._guard = Guard(Tier.WARM, lambda: clickhouse.clickhouse_errors(self._url), _NEAR_S)

    async def minutes(
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        is_first = revision is RevisionChoice.FIRST
        lines = await self._ask(lambda client: warm_candles.read_minutes(client, market, spans, is_first=is_first))
        return [encoded_value(line, MINUTE) for line in lines]

    async def windows(self, market: MarketKey, length: CandleLength, span: SpanMs) -> list[EncodedCandle]:
        """Candles of any length, made of the newest 1m candles there; they may lack minutes. Whole windows only."""
        lines = await self._ask(lambda client: _read_windows(client, market, length, span))
        return [encoded_window(line, length) for line in lines]

    async def records(
        self, kind: RecordKind, parameters: Mapping[str, str | int], *, after: Cursor | None, limit: int
    ) -> RecordPage:
        """A page of records."""
        return await self._ask(
            lambda client: warm_records.read_records(client, kind, parameters, after=after, limit=limit)
        )

    async def table(
        self, kind: RecordKind, parameters: Mapping[str, str], minutes: MinuteSpan, most: int
    ) -> RecordTable:
        """Records of the first minutes: of all of them, or of so many that there are `most` rows or more."""
        rows = await self._ask(
            lambda client: warm_tables.read_table(
                client, kind, parameters, from_minute=minutes.begin, until_minute=minutes.end, most=most
            )
        )
        is_all = len(rows) < most
        return RecordTable(rows, minutes.end if is_all else int(times_us(kind, rows).max()) // MINUTE_US + 1)

    async def estimated_rows(self, kind: RecordKind, parameters: Mapping[str, str], minutes: MinuteSpan) -> int:
        """How many records there are at most, by the index alone."""
        return await self._ask(
            lambda client: warm_tables.estimate_rows(
                client, kind, parameters, from_minute=minutes.begin, until_minute=minutes.end
            )
        )

    async def record_spans(self) -> dict[RecordKind, list[SpanMs]]:
        """Where any market has records, in whole minutes: one span a month."""
        spans = await self._ask(warm_tables.read_record_spans)
        return {kind: [_whole_minutes(*span) for span in of_kind] for kind, of_kind in spans.items()}

    async def minute_counts(self, market: MarketKey, minutes: MinuteSpan) -> pa.Table:
        """Minute, trades and status of each 1m candle, oldest first."""
        span = SpanMs(minutes.begin * MINUTE_MS, minutes.end * MINUTE_MS)
        return await self._ask(lambda client: warm_tables.read_minute_counts(client, market._asdict() | span._asdict()))

    async def instruments(self, exchange: str) -> pa.Table:
        """All instruments of an exchange, by symbol."""
        return await self._ask(lambda client: warm_tables.read_instruments(client, exchange))

    async def exchanges(self) -> list[str]:
        """The exchanges that have instruments."""
        return await self._ask(warm_records.read_exchanges)

    async def days(self, market: MarketKey, span: SpanMs) -> list[tuple[str, str, int]]:
        """Day, status and how many 1m candles there are of it."""
        return await self._ask(lambda client: warm_records.read_days(client, market._asdict() | span._asdict()))

    async def spans(self) -> list[SpanMs]:
        """Where any market has 1m candles: one span a month."""
        spans = await self._ask(warm_candles.read_candle_spans)
        return sorted(SpanMs(first, last + MINUTE_MS) for first, last in spans)

    async def trades(self, market: MarketKey, limit: int) -> list[Trade]:
        return await self._ask(lambda client: warm.read_trades(client, market, limit=limit))

    async def ticker(self, market: MarketKey) -> Ticker | None:
        return await self._ask(lambda client: warm.read_ticker(client, market))

    async def has_market(self, market: MarketKey) -> bool:
        return await self._ask(lambda client: warm.is_market_held(client, market))

    async def markets(self, most: int) -> set[MarketKey]:
        return await self._ask(lambda client: warm.read_markets(client, most=most))

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _ask(self, read: Callable[[clickhouse.Client], Awaitable[Answer]]) -> Answer:
        async def question() -> Answer:
            async with self._connecting:
                client = self._client
                if client is None:
                    client = self._client = await clickhouse.connect(self._url, database=self._database)
            return await read(client)

        return await self._guard.ask(question)


class Tiers:
    """All of them. Nothing is connected before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self.hot = HotTier(settings)
        self.warm = WarmTier(settings)
        self.cold = ColdTier(settings)

    def __getitem__(self, tier: Tier) -> TierStore:
        stores: dict[Tier, TierStore] = {Tier.HOT: self.hot, Tier.WARM: self.warm, Tier.COLD: self.cold}
        return stores[tier]

    @property
    def near(self) -> dict[Tier, NearTier]:
        """Hot, then warm."""
        return {Tier.HOT: self.hot, Tier.WARM: self.warm}

    async def reachable(self, tier: Tier) -> bool:
        """Whether it answers."""
        try:
            await self[tier].minutes(_NOBODY, [SpanMs(0, 1)])
        except AwayError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        for tier in Tier:
            await self[tier].close()


async def _read_windows(
    client: clickhouse.Client, market: MarketKey, length: CandleLength, span: SpanMs
) -> list[bytes]:
    name, bounds = str(length), span._asdict()
    if length.fixed_ms is None:
        return await warm_candles.read_windows_of_months(client, market, name=name, months=length.units, **bounds)
    return await warm_candles.read_windows(
        client, market, name=name, length_ms=length.fixed_ms, anchor_ms=length.anchor_ms, **bounds
    )


def _whole_minutes(first_ms: int, last_ms: int) -> SpanMs:
    return SpanMs(first_ms - first_ms % MINUTE_MS, last_ms - last_ms % MINUTE_MS + MINUTE_MS)
