"""The cold tier's face."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence

import pyarrow as pa

from market.key import MarketKey
from market.timeframe import DAY_MS, MINUTE_MS
from runtime.settings import Settings, cold_address
from serving.encoded import EncodedCandle, encoded_rows
from serving.guard import Guard, MinuteSpan, RecordTable, is_in
from serving.planner import RevisionChoice, SpanMs, Tier, joined
from sinks.parquet import connect as parquet
from sinks.parquet import read_records as cold
from sinks.parquet.footers import Footers, RowGroup
from sinks.record_forms import RecordKind, arrange, count_columns

_COLD_S = 30.0
_COLD_READS = 2
"""At a time: each holds files in memory. More wait, within the time above."""
MAX_COLD_ROWS = 250_000
"""Of all markets, in the files that are read for one table."""
_US_A_MS = 1000
_EPOCH = dt.date(1970, 1, 1)


class ColdTier:
    """Parquet files: every revision of every 1m candle, every copy of every other record."""

    def __init__(self, settings: Settings) -> None:
        self._url = cold_address(settings)
        self._partitions = settings.partitions
        self._store: parquet.Client | None = None
        self._footers = Footers()
        self._slots = asyncio.Semaphore(_COLD_READS)
        self._guard = Guard(Tier.COLD, lambda: parquet.cold_errors(self._url), _COLD_S)

    async def minutes(  # noqa: D102
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        is_first = revision is RevisionChoice.FIRST
        minutes = MinuteSpan(spans[0].from_ms // MINUTE_MS, -(-spans[-1].until_ms // MINUTE_MS))
        groups = await self.groups(RecordKind.CANDLES, market, spans)
        tables = []
        while minutes.begin < minutes.end:
            rows, end = await self.table(RecordKind.CANDLES, market, {}, minutes, groups)
            tables.append(arrange(RecordKind.CANDLES, [rows], is_first=is_first))
            minutes = MinuteSpan(end, minutes.end)

        def encoded() -> list[EncodedCandle]:
            candles = [candle for table in tables for candle in encoded_rows(table)]
            return [candle for candle in candles if is_in(candle.open_ms, spans)]

        return await self._guard.ask(lambda: asyncio.to_thread(encoded))

    async def groups(self, kind: RecordKind, market: MarketKey, spans: Sequence[SpanMs]) -> list[RowGroup]:
        """The parts of files that may hold records of a market on the days of these spans."""
        return await self._guard.ask(lambda: cold.find_groups(self._place(), kind, market, _days(spans)))

    async def table(
        self,
        kind: RecordKind,
        market: MarketKey,
        parameters: Mapping[str, str],
        minutes: MinuteSpan,
        groups: Sequence[RowGroup],
    ) -> RecordTable:
        """All copies of the records of the first minutes that are in these parts, as many as are read at a time."""
        end = cold.first_minutes(groups, minutes.begin, minutes.end, MAX_COLD_ROWS)

        async def question() -> pa.Table:
            async with self._slots:
                return await cold.read_records(
                    self._place(), kind, market, parameters, groups, from_minute=minutes.begin, until_minute=end
                )

        return RecordTable(await self._guard.ask(question), end)

    async def estimated_rows(self, kind: RecordKind, market: MarketKey, spans: Sequence[SpanMs]) -> int:
        """How many rows the files of these spans have that may hold records of a market: of all markets in them."""
        return await self._guard.ask(
            lambda: cold.estimate_rows(
                self._place(), kind, market, [(span.from_ms * _US_A_MS, span.until_ms * _US_A_MS) for span in spans]
            )
        )

    async def minute_counts(self, market: MarketKey, minutes: MinuteSpan) -> pa.Table:
        """Minute, trades and status of each 1m candle in its newest revision, oldest first."""
        span = SpanMs(minutes.begin * MINUTE_MS, minutes.end * MINUTE_MS)
        groups = await self.groups(RecordKind.CANDLES, market, [span])
        tables = []
        while minutes.begin < minutes.end:
            rows, end = await self.table(RecordKind.CANDLES, market, {}, minutes, groups)
            tables.append(count_columns(arrange(RecordKind.CANDLES, [rows])))
            minutes = MinuteSpan(end, minutes.end)
        return pa.concat_tables(tables)

    async def record_dates(self, kind: RecordKind) -> dict[str, list[SpanMs]]:
        """Exchange → the UTC days of which there may be records, as spans."""
        dates = await self._guard.ask(lambda: cold.read_dates(self._opened(), cold.DATASETS[kind].name))
        return {exchange: joined(map(_day_span, days)) for exchange, days in dates.items()}

    async def close(self) -> None:
        """Nothing is open."""

    def _place(self) -> cold.ColdPlace:
        return cold.ColdPlace(self._opened(), self._footers, self._partitions)

    def _opened(self) -> parquet.Client:
        if self._store is None:
            self._store = parquet.connect(self._url)
        return self._store


def _days(spans: Sequence[SpanMs]) -> list[dt.date]:
    days = {day for span in spans for day in range(span.from_ms // DAY_MS, (span.until_ms - 1) // DAY_MS + 1)}
    return [_EPOCH + dt.timedelta(days=day) for day in sorted(days)]


def _day_span(date: dt.date) -> SpanMs:
    day = (date - _EPOCH).days
    return SpanMs(day * DAY_MS, (day + 1) * DAY_MS)
