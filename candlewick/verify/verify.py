"""The verification of a run, partition by partition and key by key, so that memory is bounded by one partition."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from candlewick.verify.amounts import clock
from candlewick.verify.check import (
    check_candles,
    check_log,
    check_markers,
    check_store,
    count_lost,
    digests_of,
    first_in_log,
)
from candlewick.verify.cold import ColdFiles
from candlewick.verify.demands import Demands, connected_demands, demands
from candlewick.verify.expected import KLINE, MINUTE_US, Fields, Sent, SpanUs, exchange_klines, expected_candles
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.hot import HotRows
from candlewick.verify.log import KeyLog
from candlewick.verify.log_reader import (
    check_bars,
    check_rolled,
    check_scores,
    check_stored,
    partitions_of,
    read_partition,
)
from candlewick.verify.postgres import PostgresRows
from candlewick.verify.served import ServedRecords
from candlewick.verify.spoken import CONNECTED, SpokenMarket
from candlewick.verify.stores import StoredRows, StoresCheck
from candlewick.verify.truth import Truth
from candlewick.verify.warm import WarmRows
from runtime.settings import Settings

WINDOW_US = 360 * MINUTE_US
"""So much of a symbol's market time is compared at once."""
RECENT_MS = 60 * 60_000
"""Redis must have at least the candles of the last hour of market time; older ones must be right where it has them."""
AROUND_US = 60 * MINUTE_US
"""So long before and after the compared span exemptions count too: in a quiet market trades may lie that far apart."""


async def verify(
    settings: Settings,
    url: str,
    *,
    api: str | None = None,
    markets: Mapping[str, Sequence[str]],
    disturbed: bool,
    may_be_young: bool = False,
    postgres: bool = False,
    thresholds: str | None = None,
    scores: bool = False,
) -> Findings:
    """Compare Kafka, ClickHouse, Parquet, Redis and (if asked) PostgreSQL with the record of the simulator at `url`.

    The API is asked too, where its address, `api`, is given.

    Compared are the live series of `markets` (exchange → symbols, as the simulator names both), each from its first
    `begin` marker to its newest marker. `disturbed` says whether there were faults, kills or earlier runs: without them
    no trade may stand at a second offset. With `may_be_young`, after a short or slow run, a symbol without a whole
    minute in the log is only counted; else its minutes are missing. Longer candles, tickers, and (if `thresholds`, the
    text of their file, are given) bars are computed anew from the log; so are, with `scores`, those of signals told by
    the usual rules. What stores have of all these has to be what the log has. Raises `UnavailableError` where one of
    them does not answer.
    """
    findings = Findings()
    async with Truth(url) as truth, HotRows(settings, findings) as hot, AsyncExitStack() as opened:
        tables: dict[str, StoredRows] = {"ClickHouse": await opened.enter_async_context(WarmRows(settings))}
        if postgres:
            tables["PostgreSQL"] = await opened.enter_async_context(PostgresRows(settings))
        served = await opened.enter_async_context(ServedRecords(api, findings)) if api else None
        cold = ColdFiles(settings)
        names = await truth.keys(markets)
        unknown = {(name, symbol) for name, symbols in markets.items() for symbol in symbols} - set(names.values())
        for name, symbol in sorted(unknown):
            findings.add(FindingKind.MISSING, f"{symbol} of {name}: the simulator does not trade it")
        now_us = await truth.now_us()
        check = _Check(
            findings, truth, tables, hot, cold, served=served, disturbed=disturbed, may_be_young=may_be_young
        )
        stores = StoresCheck(tables, hot, cold, findings, now_ms=time.time_ns() // 1_000_000)
        await check_rolled(settings, frozenset(names), stores, findings)
        if thresholds is not None:
            findings.bars = 0
            await check_bars(settings, thresholds, frozenset(names), findings)
        if scores:
            await check_scores(settings, findings)
        await check_stored(settings, stores, findings)
        for partition in await partitions_of(settings):
            log = await read_partition(settings, partition, findings)
            cold.check_partition(log, findings)
            for key in sorted(names.keys() & log.keys.keys()):
                await check.key(key, names.pop(key), log.keys[key], now_us)
    for key in names:
        if may_be_young:
            findings.young += 1
            continue
        findings.add(FindingKind.MISSING, f"every trade, marker and candle of {key}: it is not in the log")
    if findings.redelivered and not disturbed:
        findings.add(
            FindingKind.DUPLICATE, f"{findings.redelivered} trades at a second offset in a first run without faults"
        )
    return findings


class _Check:
    """The comparison of one key after the other."""

    def __init__(
        self,
        findings: Findings,
        truth: Truth,
        tables: Mapping[str, StoredRows],
        hot: HotRows,
        cold: ColdFiles,
        *,
        served: ServedRecords | None,
        disturbed: bool,
        may_be_young: bool,
    ) -> None:
        self._disturbed, self._may_be_young = disturbed, may_be_young
        self._findings = findings
        self._truth = truth
        self._tables = tables
        self._hot = hot
        self._cold = cold
        self._served = served

    async def key(self, key: str, market: SpokenMarket, log: KeyLog, now_us: int) -> None:
        """Compare one key with the record; `now_us` is market time."""
        findings = self._findings
        if log.begun_us is None or log.newest_us is None or log.newest_us <= log.begun_us:
            if self._may_be_young:
                findings.young += 1
            else:
                findings.add(FindingKind.MISSING, f"every whole minute of {key}: the log has no markers that close one")
            return
        span = SpanUs(log.begun_us, min(log.newest_us, now_us - now_us % MINUTE_US))
        if log.newest_us > now_us:
            findings.add(
                FindingKind.DIFFERENT, f"the newest marker of {key} is of {clock(log.newest_us)}, not over yet"
            )
        before = await self._truth.before(market, span.from_us)
        wanted = await self._demands(market, before, span, log)
        first = first_in_log(key, log, wanted.retold)
        sent: dict[str, int] = {}
        candles: list[Fields] = []
        last_price = next((trade.price for trade in reversed(before) if trade.trade_id not in wanted.absent), None)
        for window in span.windows(WINDOW_US):
            record = await self._truth.trades(market, window)
            trades = [first.get(trade.trade_id, trade) for trade in record if trade.trade_id not in wanted.absent]
            digests = digests_of(key, trades)
            sent |= digests
            candles = list(
                expected_candles(
                    key,
                    window,
                    trades,
                    last_price=last_price,
                    best=market.spoken.best,
                    statuses=wanted.statuses,
                    klines=await self._klines(market, window, log),
                )
            )
            last_price = candles[-1]["close"] if candles else last_price
            if unpriced := len(window.minutes()) - len(candles):
                findings.add(FindingKind.MISSING, f"{unpriced} candles of {key}: nothing was traded on the day before")
            for store, rows in self._tables.items():
                check_store(store, key, await rows.trades(key, window), digests, findings)
            await self._candles(key, window, candles, log)
            findings.candles += len(candles)
        findings.trades += len(sent)
        check_log(key, log, sent, span, findings, also=digests_of(key, wanted.retold.values()))
        check_markers(key, log, span, findings)
        count_lost(log, wanted, span, findings)
        if self._served is not None:
            await self._served.check_newest(key, log, [as_in_log(fields, log) for fields in candles])

    async def _candles(self, key: str, window: SpanUs, expected: Sequence[Fields], log: KeyLog) -> None:
        findings = self._findings
        check_candles("Kafka", key, log.candles, expected, findings)
        expected = [as_in_log(fields, log) for fields in expected]
        for store, rows in self._tables.items():
            check_candles(store, key, await rows.candles(key, window), expected, findings)
        check_candles("Parquet", key, self._cold.candles(key), expected, findings)
        hot = await self._hot.candles(key)
        recent_ms = min(min(hot, default=0), (log.newest_us or 0) // 1000 - RECENT_MS)
        recent = [fields for fields in expected if fields["open_time_ms"] >= recent_ms]
        check_candles("Redis", key, hot, recent, findings)
        if self._served is not None:
            await self._served.check_candles(key, window, expected)

    async def _klines(self, market: SpokenMarket, window: SpanUs, log: KeyLog) -> dict[int, Fields]:
        """What the exchange gives of the minutes that say that its kline stands in."""
        of_klines = [open_us for open_us in window.minutes() if log.status(open_us) == KLINE]
        if not of_klines:
            return {}
        counted = market._replace(exchange=market.spoken.klines_of or market.exchange)
        span = SpanUs(of_klines[0], of_klines[-1] + MINUTE_US)
        last_price = await self._truth.last_price(counted, span.from_us)
        trades = await self._truth.all_trades(counted, span)
        klines = exchange_klines(span, trades, last_price=last_price, fields=market.spoken.kline_fields)
        return {open_us: klines[open_us] for open_us in of_klines if open_us in klines}

    async def _demands(self, market: SpokenMarket, before: Sequence[Sent], span: SpanUs, log: KeyLog) -> Demands:
        if market.spoken.best == CONNECTED:
            return connected_demands(
                await self._truth.trades(market, span),
                await self._truth.exemptions(market, span),
                logged=set(log.ids),
                said={open_us: log.status(open_us) for open_us in span.minutes()},
                disturbed=self._disturbed,
            )
        from_us = min([span.from_us, *(trade.time_us for trade in before[-1:])])
        around = SpanUs(from_us - AROUND_US, span.until_us + AROUND_US)
        exemptions = await self._truth.exemptions(market, around)
        if not exemptions:
            return Demands()
        known = set(log.ids)
        if log.begun_with is not None:
            known.add(log.begun_with)
        record = await self._truth.trades(market, around)
        return demands(around, record, exemptions, logged=known, forgotten=log.forgotten)


def as_in_log(expected: Fields, log: KeyLog) -> Fields:
    """The expected candle of a store: where a minute may have several statuses, the store must have the log's."""
    status = log.status(expected["open_time_ms"] * 1000)
    return {**expected, "status": (status,)} if status in expected["status"] else expected
