"""The tiers behind one face: what each can be asked, and the one place where a tier turns out to be away."""

import asyncio
import datetime as dt
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

import pyarrow as pa

from market.candle import Candle
from market.errors import MalformedError
from market.instrument import Instrument
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from market.trade import Trade
from runtime.errors import CandlewickError
from runtime.settings import Settings, clickhouse_address, cold_address, redis_address
from runtime.telemetry import logger
from serving.encoded import EncodedCandle, encoded_minute, encoded_value, encoded_window
from serving.lengths import MINUTE, CandleLength
from serving.planner import RevisionChoice, SpanMs, Tier, joined
from sinks.clickhouse import connect as clickhouse
from sinks.clickhouse import read as warm
from sinks.clickhouse import read_candles as warm_candles
from sinks.clickhouse import read_neighbours as warm_neighbours
from sinks.clickhouse import read_records as warm_records
from sinks.clickhouse.read_neighbours import TimesOfIds
from sinks.clickhouse.read_records import Cursor, RecordKind, RecordPage
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
_EPOCH = dt.date(1970, 1, 1)

Answer = TypeVar("Answer")


class AwayError(CandlewickError):
    """A tier cannot answer now, or not with anything that can be read."""


class TierStore(Protocol):
    """What every tier can be asked. All raise `AwayError`."""

    async def minutes(
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        """Closed 1m candles that open in the spans, which are in order; oldest first.

        Of first revisions only cold has all: the others give the first that they still have.
        """

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

    async def minutes(  # noqa: D102
        self,
        market: MarketKey,
        spans: Sequence[SpanMs],
        revision: RevisionChoice = RevisionChoice.LATEST,  # noqa: ARG002  # it has one of each
    ) -> list[EncodedCandle]:
        candles = await self.candles(market, Timeframe.M1, SpanMs(spans[0].from_ms, spans[-1].until_ms))
        return [candle for candle in candles if _is_in(candle.open_ms, spans)]

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

    async def next_open_ms(self, market: MarketKey, timeframe: Timeframe, from_ms: int) -> int | None:
        """The open time of the first closed candle that opens at or after `from_ms`."""
        return await self._guard.ask(
            lambda: hot.read_next_open_ms(self._client, self._prefix, market, timeframe, from_ms)
        )

    async def previous_open_ms(self, market: MarketKey, timeframe: Timeframe, before_ms: int) -> int | None:
        """The open time of the last closed candle that opens before `before_ms`."""
        return await self._guard.ask(
            lambda: hot.read_previous_open_ms(self._client, self._prefix, market, timeframe, before_ms)
        )

    async def live(self, market: MarketKey) -> Candle | None:
        """The open 1m candle, as it was told last."""
        return await self._guard.ask(lambda: hot.read_live(self._client, self._prefix, market))

    async def instruments(self, exchange: str) -> list[Instrument]:
        """What an exchange trades, in no order."""
        return await self._guard.ask(lambda: hot.read_instruments(self._client, self._prefix, exchange))

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

    async def minutes(  # noqa: D102
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        is_first = revision is RevisionChoice.FIRST
        lines = await self._ask(lambda client: warm_candles.read_minutes(client, market, spans, is_first=is_first))
        return [encoded_value(line, MINUTE) for line in lines]

    async def windows(self, market: MarketKey, length: CandleLength, span: SpanMs) -> list[EncodedCandle]:
        """Candles of any length, made of the newest 1m candles there; they may lack minutes. Whole windows only."""
        lines = await self._ask(lambda client: _read_windows(client, market, length, span))
        return [encoded_window(line, length) for line in lines]

    async def next_open_ms(self, market: MarketKey, from_ms: int) -> int | None:
        """The open time of the first 1m candle that opens at or after `from_ms`."""
        return await self._ask(lambda client: warm_neighbours.read_next_open_ms(client, market, from_ms))

    async def previous_open_ms(self, market: MarketKey, before_ms: int) -> int | None:
        """The open time of the last 1m candle that opens before `before_ms`."""
        return await self._ask(lambda client: warm_neighbours.read_previous_open_ms(client, market, before_ms))

    async def times_of_ids(self, market: MarketKey, *, from_id: int, limit: int) -> TimesOfIds | None:
        """When the first `limit` trades with ids from `from_id` on were; None without any."""
        return await self._ask(
            lambda client: warm_neighbours.read_times_of_ids(client, market, from_id=from_id, limit=limit)
        )

    async def records(
        self, kind: RecordKind, parameters: Mapping[str, str | int], *, after: Cursor | None, limit: int
    ) -> RecordPage:
        """A page of records."""
        return await self._ask(
            lambda client: warm_records.read_records(client, kind, parameters, after=after, limit=limit)
        )

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
    """Parquet files: every revision of every 1m candle; a day is read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._url = cold_address(settings)
        self._partitions = settings.partitions
        self._store: parquet.Client | None = None
        self._slots = asyncio.Semaphore(_COLD_READS)
        self._guard = Guard(Tier.COLD, lambda: parquet.cold_errors(self._url), _COLD_S)

    async def minutes(  # noqa: D102
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        is_first = revision is RevisionChoice.FIRST

        async def question() -> list[EncodedCandle]:
            async with self._slots:
                days = [
                    await cold.read_candles(self._opened(), market, day, partitions=self._partitions, is_first=is_first)
                    for day in _days(spans)
                ]
            return [
                encoded_minute(candle) for candles in days for candle in candles if _is_in(candle.open_time_ms, spans)
            ]

        return await self._guard.ask(question)

    async def dates(self) -> dict[str, list[SpanMs]]:
        """Exchange → the UTC days of which there may be 1m candles, as spans."""
        dates = await self._guard.ask(lambda: cold.read_dates(self._opened(), "candles"))
        return {exchange: joined(map(_day_span, days)) for exchange, days in dates.items()}

    async def close(self) -> None:
        """Nothing is open."""

    def _opened(self) -> parquet.Client:
        if self._store is None:
            self._store = parquet.connect(self._url)
        return self._store


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
        return await warm_candles.read_windows_of_months(
            client, market, name=name, months=length.units, offset_ms=length.offset_ms, **bounds
        )
    return await warm_candles.read_windows(
        client, market, name=name, length_ms=length.fixed_ms, anchor_ms=length.anchor_ms, **bounds
    )


def _days(spans: Sequence[SpanMs]) -> list[dt.date]:
    days = {day for span in spans for day in range(span.from_ms // DAY_MS, (span.until_ms - 1) // DAY_MS + 1)}
    return [_EPOCH + dt.timedelta(days=day) for day in sorted(days)]


def _day_span(date: dt.date) -> SpanMs:
    day = (date - _EPOCH).days
    return SpanMs(day * DAY_MS, (day + 1) * DAY_MS)


def _is_in(time_ms: int, spans: Sequence[SpanMs]) -> bool:
    """Whether spans, which are in order, have the time in them."""
    place = bisect_right(spans, time_ms, key=lambda span: span.from_ms)
    return place > 0 and time_ms < spans[place - 1].until_ms
