"""An exchange's own klines as runs: they stand in for minutes whose trades cannot be had.

A run of klines has a marker for each minute, with proof `kline`. The trades that the log has of such a minute are
published again with it: sums that the exchange does not give come from them.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence

from market.candle import Status
from market.codec import encode_given_candle
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.timeframe import MINUTE_MS, MINUTE_US
from market.trade import Proof
from producers.archive.claim import Claim
from producers.archive.copies import Copies
from producers.archive.dump import DumpPeriod
from producers.archive.known import LogReader, read_progress
from producers.archive.logged import LogSurvey, count_of
from producers.archive.plan import PROOF_OF_STATUS, Last, Plan, PlannedMinute
from producers.archive.publishing import ImportRun, RunPublisher
from producers.archive.run_id import choose_run
from producers.archive.survey import Survey
from producers.backfill.asking import InterruptedBackfillError, PatientClient
from producers.backfill.wanted import BETTER
from producers.exchange import Exchange
from runtime.kafka import Publisher
from runtime.settings import Settings

RUN_KLINES = 10_000
"""At most so many klines are one run: a week of minutes."""


async def read_klines(
    exchange: Exchange, client: PatientClient, native: str, span: DumpPeriod
) -> AsyncGenerator[list[GivenCandle], None]:
    """The exchange's klines of a span, in order, `RUN_KLINES` at most at a time.

    Minutes that the exchange leaves out are missing, and so are klines that do not open with a minute.
    """
    klines: list[GivenCandle] = []
    from_ms, end_ms = span.from_us // 1000, span.until_us // 1000
    while from_ms < end_ms:
        until_ms = min(from_ms + exchange.page_klines * MINUTE_MS, end_ms)
        page = await client.ask(exchange.klines(native, from_ms, until_ms), exchange.read_klines)
        fresh = [kline for kline in page if from_ms <= kline.open_time_ms < until_ms]
        klines += [kline for kline in fresh if kline.open_time_ms % MINUTE_MS == 0]
        newest_ms = max((kline.open_time_ms for kline in fresh), default=until_ms)
        from_ms = min(newest_ms - newest_ms % MINUTE_MS + MINUTE_MS, until_ms)
        while len(klines) >= RUN_KLINES:
            yield klines[:RUN_KLINES]
            klines = klines[RUN_KLINES:]
    if klines:
        yield klines


def plan_klines(klines: Sequence[GivenCandle], log: LogSurvey, *, until_us: int) -> Plan:
    """A minute of the run for each kline, unless there is a better candle; and the minutes without trades behind it.

    Those have its close as their price. `until_us`: from here on live data count.
    """
    given = {kline.open_time_ms * 1000: kline for kline in klines}
    minutes: list[PlannedMinute] = []
    last: Last | None = None
    for open_us in sorted(open_us for open_us in {*log.minutes, *given} if open_us < until_us):
        logged, kline = log.minutes.get(open_us), given.get(open_us)
        current = None if logged is None else logged.current(log.processed)
        count = 0 if logged is None else count_of(logged.ids())
        if kline is not None and (current is None or current.status not in BETTER):
            last = Last(None, kline.close)
            minutes.append(PlannedMinute(open_us, Proof.KLINE, None, count, last, 0, kline))
        elif count or (current is not None and (current.trades or current.status is Status.KLINE)):
            last = None
        elif last is not None and current is not None and current.close != last.price:
            claimed = log.claim(open_us)
            claim = None if claimed is None else PROOF_OF_STATUS[claimed]
            minutes.append(PlannedMinute(open_us, PROOF_OF_STATUS[current.status], claim, 0, last, 0))
    return Plan(minutes=minutes, before=None, gaps=(), left=0)


async def publish_klines(
    settings: Settings,
    key: MarketKey,
    klines: Sequence[GivenCandle],
    reader: LogReader,
    stop: asyncio.Event,
    *,
    until_us: int,
    forced: bool,
) -> None:
    """Publish klines as a run, unless that run is finished. `until_us`: from here on live data count.

    Raises `InterruptedBackfillError`, or `CandlewickError`: another process publishes this run, or Kafka fails.
    """
    span = DumpPeriod(klines[0].open_time_ms * 1000, klines[-1].open_time_ms * 1000 + MINUTE_US)
    content = hashlib.sha256(b"\n".join(map(encode_given_candle, klines))).digest()
    progress = await read_progress(settings, key)
    await reader.read()
    run, finished = choose_run(key, span, content, progress.finished, reader.survey.is_crossed, forced=forced)
    if finished:
        return
    async with Publisher(settings) as publisher:
        claim = Claim(settings, publisher, key, run)
        if not await claim.take(progress, stop):
            return
        if stop.is_set():
            raise InterruptedBackfillError
        await reader.read()
        log = reader.survey
        plan = plan_klines(klines, log, until_us=until_us)
        read_back = await reader.trades_of({minute.open_us for minute in plan.minutes} & log.minutes.keys())
        copies = Copies(plan, Survey(), log, read_back, until_us=until_us, forced=False)
        if not plan.minutes:
            await claim.finish(span.until_us)
            return
        sending = RunPublisher(
            settings, publisher, claim, ImportRun(key=key, id=run, span=span, plan=plan, copies=copies)
        )
        await sending.begin()
        await sending.end()
