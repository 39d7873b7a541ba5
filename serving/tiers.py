"""The tiers behind one face: what each can be asked, and the one place where a tier turns out to be away."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

import pyarrow as pa

from market.candle import Candle
from market.errors import MalformedError
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import DAY_MS, Timeframe
from market.trade import Trade
from runtime.errors import CandlewickError
from runtime.settings import Settings, clickhouse_address, cold_address, redis_address
from runtime.telemetry import logger
from serving.planner import SpanMs, Tier
from sinks.clickhouse import connect as clickhouse
from sinks.clickhouse import read as warm
from sinks.parquet import connect as parquet
from sinks.parquet import read as cold
from sinks.redis import connect as redis
from sinks.redis import keys
from sinks.redis import read as hot
from sinks.redis.changes import KeyChanges

_NEAR_S = 5.0
"""How long hot and warm may take before they count as away."""
_COLD_S = 30.0
_COLD_READS = 2
"""At a time: each holds a file of a day in memory. More wait, within the time above."""
_NOBODY = MarketKey("-", "-")
"""Asked for to see whether a tier answers."""

Answer = TypeVar("Answer")


class AwayError(CandlewickError):
    """A tier cannot answer now, or not with anything that can be read."""


class TierStore(Protocol):
    """What every tier can be asked. All raise `AwayError`."""

    async def candles(self, market: MarketKey, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """Closed candles that open in the span, oldest first."""

    async def close(self) -> None:
        """Close the connections."""


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


class Guard:
    """Bounds how long a tier may take, and says in the log when it goes away and when it is back."""

    def __init__(self, tier: Tier, errors: Callable[[], AbstractContextManager[None]], timeout_s: float) -> None:
        self._tier = tier
        self._errors = errors
        self._timeout_s = timeout_s
        self._away = False
        self._log = logger("serve")

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer, or `AwayError`."""
        try:
            with self._translated():
                async with asyncio.timeout(self._timeout_s):
                    with self._errors():
                        answer = await question()
        except AwayError as error:
            if not self._away:
                self._log.warning("tier is away", tier=self._tier, reason=str(error))
            self._away = True
            raise
        if self._away:
            self._log.info("tier is back", tier=self._tier)
        self._away = False
        return answer

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (CandlewickError, clickhouse.RowsRefusedError) as error:
            raise AwayError(str(error)) from error
        except TimeoutError as error:
            raise AwayError(f"the {self._tier} tier did not answer within {self._timeout_s:g} s") from error
        except (MalformedError, pa.ArrowException) as error:
            raise AwayError(f"the {self._tier} tier holds what is not ours or damaged: {error}") from error


class HotTier:
    """Redis: the latest trades, recent candles of every timeframe, tickers. Its methods are those of `NearTier`."""

    def __init__(self, settings: Settings) -> None:
        url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = redis.connect(url)
        self._guard = Guard(Tier.HOT, lambda: redis.redis_errors(url), _NEAR_S)

    async def candles(self, market: MarketKey, timeframe: Timeframe, span: SpanMs) -> list[Candle]:  # noqa: D102
        return await self._guard.ask(
            lambda: hot.read_candles(
                self._client, self._prefix, market, from_ms=span.from_ms, until_ms=span.until_ms, timeframe=timeframe
            )
        )

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

    async def trades(self, market: MarketKey, limit: int) -> list[Trade]:  # noqa: D102
        return await self._guard.ask(lambda: hot.read_trades(self._client, self._prefix, market, limit=limit))

    async def ticker(self, market: MarketKey) -> Ticker | None:  # noqa: D102
        return await self._guard.ask(lambda: hot.read_ticker(self._client, self._prefix, market))

    async def has_market(self, market: MarketKey) -> bool:  # noqa: D102
        return await self._guard.ask(lambda: hot.is_market_held(self._client, self._prefix, market))

    async def markets(self, most: int) -> set[MarketKey]:  # noqa: D102
        return await self._guard.ask(lambda: hot.read_markets(self._client, self._prefix, most=most))

    async def close(self) -> None:  # noqa: D102
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

    async def candles(self, market: MarketKey, timeframe: Timeframe, span: SpanMs) -> list[Candle]:  # noqa: D102
        return await self._ask(
            lambda client: warm.read_candles(
                client, market, from_ms=span.from_ms, until_ms=span.until_ms, timeframe=timeframe
            )
        )

    async def trades(self, market: MarketKey, limit: int) -> list[Trade]:  # noqa: D102
        return await self._ask(lambda client: warm.read_trades(client, market, limit=limit))

    async def ticker(self, market: MarketKey) -> Ticker | None:  # noqa: D102
        return await self._ask(lambda client: warm.read_ticker(client, market))

    async def has_market(self, market: MarketKey) -> bool:  # noqa: D102
        return await self._ask(lambda client: warm.is_market_held(client, market))

    async def markets(self, most: int) -> set[MarketKey]:  # noqa: D102
        return await self._ask(lambda client: warm.read_markets(client, most=most))

    async def close(self) -> None:  # noqa: D102
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


class ColdTier:
    """Parquet files: every 1m candle; a day is read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._url = cold_address(settings)
        self._store: parquet.Client | None = None
        self._slots = asyncio.Semaphore(_COLD_READS)
        self._guard = Guard(Tier.COLD, lambda: parquet.cold_errors(self._url), _COLD_S)

    async def candles(self, market: MarketKey, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """As `TierStore` says; of other timeframes than 1m it has none."""
        if timeframe is not Timeframe.M1:
            return []

        async def question() -> list[Candle]:
            async with self._slots:
                if self._store is None:
                    self._store = parquet.connect(self._url)
                days = [await cold.read_candles(self._store, market, day) for day in _days(span)]
            return [candle for candles in days for candle in candles]

        candles = await self._guard.ask(question)
        return [candle for candle in candles if span.from_ms <= candle.open_time_ms < span.until_ms]

    async def close(self) -> None:
        """Nothing is open."""


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
            await self[tier].candles(_NOBODY, Timeframe.M1, SpanMs(0, 1))
        except AwayError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        for tier in Tier:
            await self[tier].close()


def _days(span: SpanMs) -> list[dt.date]:
    first, last = span.from_ms // DAY_MS, (span.until_ms - 1) // DAY_MS
    return [dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in range(first, last + 1)]
