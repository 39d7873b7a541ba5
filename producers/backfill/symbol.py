"""The backfill of one symbol: what the log lacks is fetched span by span, and each chunk becomes a run."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from market.key import MarketKey
from market.timeframe import DAY_MS, MINUTE_US, minute_us
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.importing import BEHIND_LIVE_US, ImportRequest, import_recording
from producers.archive.known import KeyProgress, LogReader, read_progress
from producers.archive.proof import IdKind
from producers.archive.recording import Described, Recording
from producers.archive.report import ReportedRange, ranges
from producers.backfill.asking import PatientClient
from producers.backfill.chunks import Chunker
from producers.backfill.klines import publish_klines, read_klines
from producers.backfill.pages import RestHistory
from producers.backfill.search import KnownTrade, TradeSearch
from producers.backfill.spool import spooled
from producers.backfill.wanted import (
    KLINES,
    KLINES_AGAIN,
    TRADES,
    TRADES_AGAIN,
    Aim,
    logged_around,
    minutes_of,
    wanted_spans,
)
from producers.exchange import Exchange
from runtime.settings import Settings

JOIN_US = 10 * MINUTE_US
"""Spans nearer to each other are fetched together: fewer requests than to search for the second one's beginning."""
INTERRUPTED_MS = DAY_MS
"""A run that was interrupted within this time is repeated under its own id."""
MOST_HOLES = 20
"""So many ranges with holes are kept for the report."""


@dataclass
class MarketTime:
    """The latest time that trades of any symbol have shown: what lies behind may not have happened yet."""

    newest_us: int = 0

    def show(self, time_us: int) -> None:
        """Note a trade's time."""
        self.newest_us = max(self.newest_us, time_us)


@dataclass(kw_only=True)
class Backfilled:
    """The result for one symbol."""

    key: MarketKey
    span: DumpPeriod
    """The range, as far as it could be reached."""
    asked: DumpPeriod
    """The range that was asked for."""
    wanted: int = 0
    """How many of its minutes the log did not have as well already."""
    minutes: Counter[Proof] = field(default_factory=Counter)
    """How many minutes were published, by proof."""
    holes: list[ReportedRange] = field(default_factory=list)
    """The first ranges of minutes that lack trades."""
    trades: int = 0
    runs: int = 0
    out_of_reach: int = 0
    """Minutes left as they are: the log has lost trades of them that the exchange did not give."""
    bad: int = 0
    """Rows that are no trades, and went to the dead letters."""
    requests: int = 0
    begins_us: int | None = None
    """The time of the exchange's first trade, if the range begins before it."""


class SymbolBackfill:
    """Works on one symbol. `watch` is called with the minutes that are done, and with all there are to do."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        client: PatientClient,
        key: MarketKey,
        native: str,
        *,
        folder: Path,
        market_time: MarketTime,
        force: bool,
        watch: Callable[[int, int], None],
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._client = client
        self._key = key
        self._native = native
        self._folder = folder
        self._market_time = market_time
        self._force = force
        self._watch = watch
        self._stop = stop
        self._reader = LogReader(settings, key)
        self._history = RestHistory(exchange, client, native, key.symbol)
        self._done_minutes = 0
        self._wanted_minutes = 0
        self._limit_us = 0
        """From here on live data count."""

    async def trades(self, asked: DumpPeriod) -> Backfilled:
        """Fetch and publish the trades of the minutes that are not proved complete.

        Raises `CandlewickError`: the exchange or Kafka fails, or a trade has other contents than in the log; or it was
        stopped.
        """
        result, spans = await self._wanted(asked, TRADES_AGAIN if self._force else TRADES, JOIN_US)
        if not spans:
            return result
        newest = await self._history.newest()
        if newest is not None:
            self._market_time.show(newest.time_us)
            spans = self._reached(result, spans)
            for span in spans:
                await self._fetch(span, KnownTrade(int(newest.trade_id), newest.time_us), result)
        return self._ended(result)

    async def klines(self, asked: DumpPeriod) -> Backfilled:
        """Publish the exchange's klines of the minutes that have nothing better; errors as `trades`."""
        result, spans = await self._wanted(asked, KLINES_AGAIN if self._force else KLINES, 0)
        if not spans:
            return result
        newest = await self._history.newest()
        self._market_time.show(newest.time_us if newest else 0)
        for span in self._reached(result, spans):
            async with aclosing(read_klines(self._exchange, self._client, self._native, span)) as pages:
                async for klines in pages:
                    await publish_klines(
                        self._settings,
                        self._key,
                        klines,
                        self._reader,
                        self._stop,
                        until_us=self._limit_us,
                        forced=self._force,
                    )
                    result.runs += 1
                    result.minutes[Proof.KLINE] += len(klines)
                    self._reach(span, klines[-1].open_time_ms * 1000 + MINUTE_US)
            self._finish(span)
        return self._ended(result)

    async def _wanted(self, asked: DumpPeriod, aim: Aim, join_us: int) -> tuple[Backfilled, list[DumpPeriod]]:
        progress = await read_progress(self._settings, self._key)
        await self._reader.read()
        self._limit_us = _limit_us(progress)
        until_us = max(asked.from_us, min(asked.until_us, self._limit_us))
        span = DumpPeriod(asked.from_us, until_us)
        unfinished = _interrupted(progress, time.time_ns() // 1_000_000)
        spans = wanted_spans(self._reader.survey, span, aim, unfinished=unfinished, join_us=join_us)
        self._wanted_minutes = minutes_of(spans)
        self._watch(0, self._wanted_minutes)
        return Backfilled(key=self._key, span=span, asked=asked, wanted=self._wanted_minutes), spans

    def _reached(self, result: Backfilled, spans: list[DumpPeriod]) -> list[DumpPeriod]:
        """The spans as far as the exchange has shown that time has passed."""
        until_us = min(result.span.until_us, minute_us(self._market_time.newest_us))
        result.span = DumpPeriod(result.span.from_us, max(result.span.from_us, until_us))
        reached = [DumpPeriod(span.from_us, min(span.until_us, until_us)) for span in spans if span.from_us < until_us]
        result.wanted = self._wanted_minutes = minutes_of(reached)
        return reached

    async def _fetch(self, span: DumpPeriod, newest: KnownTrade, result: Backfilled) -> None:
        """Fetch a span and import it chunk by chunk, each with the trade before it and the trade behind it."""
        first, is_before = await self._first(span.from_us, newest)
        opening_us = span.from_us if is_before else minute_us(first.time_us)
        if not is_before:
            result.begins_us = first.time_us
        opening_us = min(opening_us, span.until_us)
        async with (
            aclosing(self._history.rows(first, newest, lambda time_us: self._reach(span, time_us))) as rows,
            aclosing(spooled(rows, Chunker(DumpPeriod(opening_us, span.until_us)), self._folder, self._key)) as chunks,
        ):
            async for spool, chunk in chunks:
                if spool.trades:
                    await self._import(spool.recording(), chunk, result, is_proved_before=is_before)
                is_before = True
        self._finish(span)

    async def _first(self, time_us: int, newest: KnownTrade) -> tuple[KnownTrade, bool]:
        """The last trade before a time, True; if there is none, the first trade of all, False."""
        if newest.time_us < time_us:
            return newest, True
        before, behind = logged_around(self._reader.survey, time_us)
        if behind is None or behind.number > newest.number:
            behind = newest
        if before is not None and before.number >= behind.number:
            before = None  # ids were reset between them
        search = TradeSearch(time_us, behind=behind, before=before, page_trades=self._exchange.page_trades)
        await self._history.search(search)
        return (search.behind, False) if search.before is None else (search.before, True)

    async def _import(
        self, recording: Recording, chunk: DumpPeriod, result: Backfilled, *, is_proved_before: bool
    ) -> None:
        request = ImportRequest(
            files=(),
            described=Described(exchange=self._key.exchange, symbol=self._key.symbol),
            complete_from_us=chunk.from_us if is_proved_before else None,
            complete_until_us=chunk.until_us,
            ids=IdKind.CONTIGUOUS,
            force=self._force,
            skip_bad=True,
        )
        imported = await import_recording(self._settings, request, recording, self._reader, self._stop)
        result.runs += 1
        result.trades += imported.trades
        result.bad += imported.bad
        result.out_of_reach += len(imported.plan.out_of_reach)
        result.minutes.update(minute.proof for minute in imported.plan.minutes)
        holes = [minutes for minutes in ranges(imported.plan) if minutes.proof is Proof.HOLE]
        result.holes += holes[: MOST_HOLES - len(result.holes)]

    def _reach(self, span: DumpPeriod, time_us: int) -> None:
        """Tell how far a span is."""
        done = max(0, min(time_us, span.until_us) - span.from_us) // MINUTE_US
        self._watch(self._done_minutes + done, self._wanted_minutes)

    def _finish(self, span: DumpPeriod) -> None:
        self._reach(span, span.until_us)
        self._done_minutes += minutes_of([span])

    def _ended(self, result: Backfilled) -> Backfilled:
        result.requests = self._client.requests
        return result


def _interrupted(progress: KeyProgress, now_ms: int) -> set[str | None]:
    """The runs that were not finished lately. Of older ones the candles count: nobody will go on with them."""
    return {
        record.run
        for record in progress.runs
        if record.run not in progress.finished and now_ms - record.appended_ms < INTERRUPTED_MS
    }


def _limit_us(progress: KeyProgress) -> int:
    """Runs end before this time: the newest minutes are left to live data."""
    now_us = minute_us(time.time_ns() // 1000)
    live_us = progress.live_until_us
    return now_us if live_us is None else min(now_us, minute_us(live_us - BEHIND_LIVE_US))
