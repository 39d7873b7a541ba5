"""The tiers behind one face: what each can be asked, and the one place where it is found to be away."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from market.candle import Candle
from market.errors import MalformedError
from market.ticker import Ticker
from market.timeframe import DAY_MS, Timeframe
from market.trade import Trade
from runtime.errors import CandlewickError
from runtime.settings import Settings, clickhouse_address, cold_address, redis_address
from runtime.telemetry import logger
from serving.planner import SpanMs, Tier
from serving.rows import candle_of, ticker_of, trade_of
from sinks.clickhouse import connect as clickhouse
from sinks.clickhouse import read as warm
from sinks.parquet import connect as parquet
from sinks.parquet import read as cold
from sinks.redis import connect as redis
from sinks.redis import read as hot

_NEAR_S = 5.0
_COLD_S = 30.0
"""How long a tier may take before it counts as away."""
_COLD_READS = 2
"""At a time: each holds a file of a day in memory. More wait, within the time above."""
_NOBODY = "-"
"""Neither exchange nor symbol: asked for to see whether a tier answers."""

Answer = TypeVar("Answer")


class AwayError(CandlewickError):
    """A tier cannot answer now, or not with anything that can be read."""


class TierStore(Protocol):
    """What every tier can be asked. All raise `AwayError`."""

    async def candles(self, exchange: str, symbol: str, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """Closed candles that open in the span, oldest first."""

    async def close(self) -> None:
        """Let the connections go."""


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
    """Redis: the latest trades, recent candles of every timeframe, tickers."""

    def __init__(self, settings: Settings) -> None:
        url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = redis.connect(url)
        self._guard = Guard(Tier.HOT, lambda: redis.redis_errors(url), _NEAR_S)

    async def candles(self, exchange: str, symbol: str, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """As `TierStore` says."""
        key = f"{exchange}:{symbol}"
        return await self._guard.ask(
            lambda: hot.read_candles(
                self._client, self._prefix, key, from_ms=span.from_ms, until_ms=span.until_ms, timeframe=timeframe
            )
        )

    async def newest(self, exchange: str, symbol: str, timeframe: Timeframe) -> Candle | None:
        """The closed candle that opens last."""
        key = f"{exchange}:{symbol}"
        return await self._guard.ask(
            lambda: hot.read_newest_candle(self._client, self._prefix, key, timeframe=timeframe)
        )

    async def trades(self, exchange: str, symbol: str, limit: int) -> list[Trade]:
        """The latest trades, newest first."""
        key = f"{exchange}:{symbol}"
        return await self._guard.ask(lambda: hot.read_trades(self._client, self._prefix, key, limit=limit))

    async def ticker(self, exchange: str, symbol: str) -> Ticker | None:
        """The newest ticker."""
        return await self._guard.ask(lambda: hot.read_ticker(self._client, self._prefix, f"{exchange}:{symbol}"))

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


class WarmTier:
    """ClickHouse: every trade, 1m candle and ticker; reached when it is first asked, and again after it was away."""

    def __init__(self, settings: Settings) -> None:
        self._url = clickhouse_address(settings)
        self._database = settings.clickhouse_database
        self._connecting = asyncio.Lock()
        self._client: Any = None
        self._guard = Guard(Tier.WARM, lambda: clickhouse.clickhouse_errors(self._url), _NEAR_S)

    async def candles(self, exchange: str, symbol: str, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """As `TierStore` says."""

        async def read(client: Any) -> list[Candle]:
            from_ms, until_ms = span
            rows = await warm.read_candles(
                client, exchange, symbol, from_ms=from_ms, until_ms=until_ms, timeframe=timeframe.value
            )
            return [candle_of(row) for row in rows]

        return await self._ask(read)

    async def trades(self, exchange: str, symbol: str, limit: int) -> list[Trade]:
        """The latest trades, newest first."""

        async def read(client: Any) -> list[Trade]:
            return [trade_of(row) for row in await warm.read_trades(client, exchange, symbol, limit=limit)]

        return await self._ask(read)

    async def ticker(self, exchange: str, symbol: str) -> Ticker | None:
        """The newest ticker."""

        async def read(client: Any) -> Ticker | None:
            return ticker_of(await warm.read_ticker(client, exchange, symbol))

        return await self._ask(read)

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _ask(self, read: Callable[[Any], Awaitable[Answer]]) -> Answer:
        async def question() -> Answer:
            async with self._connecting:
                if self._client is None:
                    self._client = await clickhouse.connect(self._url, database=self._database)
            return await read(self._client)

        return await self._guard.ask(question)


class ColdTier:
    """Parquet files: every 1m candle; a day is read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._url = cold_address(settings)
        self._client: Any = None
        self._slots = asyncio.Semaphore(_COLD_READS)
        self._guard = Guard(Tier.COLD, lambda: parquet.cold_errors(self._url), _COLD_S)

    async def candles(self, exchange: str, symbol: str, timeframe: Timeframe, span: SpanMs) -> list[Candle]:
        """As `TierStore` says; of other timeframes than 1m it has none."""
        if timeframe is not Timeframe.M1:
            return []

        async def question() -> list[Candle]:
            async with self._slots:
                if self._client is None:
                    self._client = parquet.connect(self._url)
                days = [await cold.read_candles(self._client, exchange, symbol, day) for day in _days(span)]
            return [candle_of(row) for rows in days for row in rows]

        found = await self._guard.ask(question)
        return [candle for candle in found if span.from_ms <= candle.open_time_ms < span.until_ms]

    async def close(self) -> None:
        """Nothing is held."""


class Tiers:
    """All of them. Nothing is reached for before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self.hot = HotTier(settings)
        self.warm = WarmTier(settings)
        self.cold = ColdTier(settings)

    def __getitem__(self, tier: Tier) -> TierStore:
        stores: dict[Tier, TierStore] = {Tier.HOT: self.hot, Tier.WARM: self.warm, Tier.COLD: self.cold}
        return stores[tier]

    async def reachable(self, tier: Tier) -> bool:
        """Whether it answers."""
        try:
            await self[tier].candles(_NOBODY, _NOBODY, Timeframe.M1, SpanMs(0, 1))
        except AwayError:
            return False
        return True

    async def close(self) -> None:
        """Let all connections go."""
        for tier in Tier:
            await self[tier].close()


def _days(span: SpanMs) -> list[dt.date]:
    first, last = span.from_ms // DAY_MS, (span.until_ms - 1) // DAY_MS
    return [dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in range(first, last + 1)]
