"""The verification of a run, partition by partition and key by key, so that memory is bounded by one partition."""

from collections.abc import Iterable, Sequence

from candlewick.verify.amounts import clock
from candlewick.verify.check import (
    digests_of,
    first_told,
    hold_candles,
    hold_log,
    hold_lost,
    hold_markers,
    hold_store,
)
from candlewick.verify.cold import ColdFiles
from candlewick.verify.demands import Demands, demands
from candlewick.verify.expected import MINUTE_US, Fields, Sent, SpanUs, expected_candles
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.hot import HotCandles
from candlewick.verify.log import KeyLog, partitions_of, read_partition
from candlewick.verify.truth import Truth
from candlewick.verify.warm import WarmRows
from runtime.settings import Settings

WINDOW_US = 360 * MINUTE_US
"""This much of a symbol's market time is compared at once."""
RECENT_MS = 60 * 60_000
"""Redis must have at least the candles of the last hour of market time; older ones must be right where it has them."""
AROUND_US = 60 * MINUTE_US
"""What the source did so long before and after what is compared may excuse it: a quiet market trades that seldom."""


async def verify(
    settings: Settings, url: str, *, symbols: Iterable[str], redelivery_allowed: bool, may_be_young: bool = False
) -> Findings:
    """Hold Kafka, ClickHouse, Parquet and Redis against the record of the simulator at `url`.

    Looked at are the live series of `symbols` (as the exchange names them), each from its first `begin` marker to its
    newest marker. Without faults, kills and earlier runs no trade may stand at a second offset. With `may_be_young`,
    after a short or slow run, a symbol without a whole minute in the log is only counted; else its minutes are missing.
    """
    findings = Findings()
    async with Truth(url) as truth, WarmRows(settings) as warm, HotCandles(settings, findings) as hot:
        cold = ColdFiles(settings)
        wanted = set(symbols)
        names = {key: symbol for key, symbol in (await truth.keys()).items() if symbol in wanted}
        for symbol in sorted(wanted - set(names.values())):
            findings.add(FindingKind.MISSING, f"{symbol}: the simulator does not trade it")
        now_us = await truth.now_us()
        check = _Check(findings, truth, warm, hot, cold, may_be_young=may_be_young)
        for partition in await partitions_of(settings):
            log = await read_partition(settings, partition, findings)
            cold.hold_partition(log, findings)
            for key in sorted(names.keys() & log.keys.keys()):
                await check.key(key, names.pop(key), log.keys[key], now_us)
    for key in names:
        if may_be_young:
            findings.young += 1
            continue
        findings.add(FindingKind.MISSING, f"every trade, marker and candle of {key}: it is not in the log")
    if findings.redelivered and not redelivery_allowed:
        findings.add(
            FindingKind.DUPLICATE, f"{findings.redelivered} trades at a second offset in a first run without faults"
        )
    return findings


class _Check:
    """One key after the other."""

    def __init__(
        self,
        findings: Findings,
        truth: Truth,
        warm: WarmRows,
        hot: HotCandles,
        cold: ColdFiles,
        *,
        may_be_young: bool,
    ) -> None:
        self._may_be_young = may_be_young
        self._findings = findings
        self._truth = truth
        self._warm = warm
        self._hot = hot
        self._cold = cold

    async def key(self, key: str, symbol: str, log: KeyLog, now_us: int) -> None:
        """Hold one key against the record; `now_us` is market time."""
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
        before = await self._truth.before(symbol, span.from_us)
        wanted = await self._demands(symbol, before, span, log)
        first = first_told(key, log, wanted.retold)
        sent: dict[int, int] = {}
        last_price = next((one.price for one in reversed(before) if one.trade_id not in wanted.absent), None)
        for window in span.windows(WINDOW_US):
            record = await self._truth.trades(symbol, window)
            trades = [first.get(one.trade_id, one) for one in record if one.trade_id not in wanted.absent]
            digests = digests_of(key, trades)
            sent |= digests
            candles = list(expected_candles(key, window, trades, last_price=last_price, statuses=wanted.statuses))
            last_price = candles[-1]["close"] if candles else last_price
            if unpriced := len(window.minutes()) - len(candles):
                findings.add(FindingKind.MISSING, f"{unpriced} candles of {key}: nothing was traded on the day before")
            hold_store("ClickHouse", key, await self._warm.trades(key, window), digests, findings)
            await self._candles(key, window, candles, log)
            findings.candles += len(candles)
        findings.trades += len(sent)
        hold_log(key, log, sent, span, findings, also=digests_of(key, wanted.retold.values()))
        hold_markers(key, log, span, findings)
        hold_lost(log, wanted, span, findings)

    async def _candles(self, key: str, window: SpanUs, expected: Sequence[Fields], log: KeyLog) -> None:
        findings = self._findings
        hold_candles("Kafka", key, log.candles, expected, findings)
        expected = [as_said(fields, log) for fields in expected]
        hold_candles("ClickHouse", key, await self._warm.candles(key, window), expected, findings)
        hold_candles("Parquet", key, self._cold.candles(key), expected, findings)
        hot = await self._hot.candles(key)
        recent_ms = min(min(hot, default=0), (log.newest_us or 0) // 1000 - RECENT_MS)
        recent = [fields for fields in expected if fields["open_time_ms"] >= recent_ms]
        hold_candles("Redis", key, hot, recent, findings)

    async def _demands(self, symbol: str, before: Sequence[Sent], span: SpanUs, log: KeyLog) -> Demands:
        from_us = min([span.from_us, *(trade.time_us for trade in before[-1:])])
        around = SpanUs(from_us - AROUND_US, span.until_us + AROUND_US)
        exceptions = await self._truth.exceptions(symbol, around)
        if not exceptions:
            return Demands()
        known = set(log.ids)
        if log.begun_with is not None:
            known.add(log.begun_with)
        record = await self._truth.trades(symbol, around)
        return demands(around, record, exceptions, logged=known, forgotten=log.forgotten)


def as_said(expected: Fields, log: KeyLog) -> Fields:
    """Where a minute may say more than one thing, the stores have to say what the log says."""
    said = log.candles.get(expected["open_time_ms"], {}).get("status")
    return {**expected, "status": (said,)} if said in expected["status"] else expected
