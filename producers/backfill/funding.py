"""The funding rates of a past range into `md.funding.v1`, page by page, where the log does not have them yet.

Whoever publishes settled rates publishes all of a perpetual in the order of time, and leaves none out. So where those
in the log stand at equal distances, there is no other between them, and none is asked for. That is how an interrupted
backfill goes on where it stopped. Where the distance grows, something may be missing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

import aiohttp

from market.codec import encode_funding_rate
from market.funding import FundingRate
from market.instrument import Instrument
from market.key import MarketKey
from market.timeframe import HOUR_MS, MINUTE_MS
from producers.archive.dump import DumpPeriod
from producers.backfill.asking import STAGE, PatientClient
from producers.exchange import FundingSource
from producers.exchanges import exchange_named
from producers.exchanges.funding import FUNDING
from producers.feed.funding import PACE_S, PERPETUAL, settled_times
from producers.feed.rest import RestClient
from producers.feed.runner import find
from producers.feed.selection import Selection
from runtime.errors import UsageError
from runtime.kafka import Outgoing, Publisher
from runtime.kafka.admin import require_topics
from runtime.settings import Settings


class FundingBackfilled(NamedTuple):
    """The result for one perpetual."""

    key: MarketKey
    published: int
    known: int
    """So many of the range the log had already."""
    requests: int


class FundingSpan(NamedTuple):
    """Market time [from_ms, until_ms)."""

    from_ms: int
    until_ms: int


FundingWatch = Callable[[str, int, int], None]
"""Called with a symbol, how many minutes of the range are done, and how many there are."""


async def backfill_funding(
    settings: Settings,
    exchange_name: str,
    symbols: Iterable[str],
    span: DumpPeriod,
    *,
    watch: FundingWatch,
    stop: asyncio.Event,
) -> AsyncGenerator[FundingBackfilled, None]:
    """Publish the settled rates of each perpetual that the log lacks, one after the other: they share the pace.

    Raises `UsageError` (unknown exchange or symbol, or one without funding), `InterruptedBackfillError` (`stop` was
    set), or `CandlewickError`: the exchange or Kafka fails. Repeated, it goes on from what the log has.
    """
    exchange, source = exchange_named(exchange_name, settings), FUNDING.get(exchange_name)
    if source is None:
        raise UsageError(f"{exchange_name} has no funding rates: choose {' or '.join(sorted(FUNDING))}")
    await require_topics(settings, {settings.topics.funding})
    asked = FundingSpan(span.from_us // 1000, span.until_us // 1000)
    async with aiohttp.ClientSession() as http, Publisher(settings) as publisher:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits, stage=STAGE)
        chosen = await find(rest, exchange, Selection(tuple(symbols)))
        _require_perpetuals(chosen)
        known = await settled_times(settings, [each.key for each in chosen.values()])
        for native, instrument in chosen.items():
            client = PatientClient(rest, stop)
            work = _PerpetualBackfill(settings, source, client, publisher, native=native, instrument=instrument)
            yield await work.run(asked, known.get(instrument.key, set()), watch)


def spans_to_ask(known_ms: Iterable[int], span: FundingSpan) -> list[FundingSpan]:
    """The parts of a span that may hold rates which are not known."""
    times_ms = sorted(known_ms)
    distances = [later - earlier for earlier, later in pairwise(times_ms)]
    parts = []
    for index, (earlier, later) in enumerate(pairwise([span.from_ms - 1, *times_ms, span.until_ms])):
        beside = distances[max(0, index - 2) : index - 1] + distances[index : index + 1]
        is_known = 0 < index < len(times_ms) and later - earlier <= min(beside, default=0) + MINUTE_MS
        from_ms, until_ms = max(earlier + 1, span.from_ms), min(later, span.until_ms)
        if not is_known and from_ms < until_ms:
            parts.append(FundingSpan(from_ms, until_ms))
    return parts


class _PerpetualBackfill:
    def __init__(
        self,
        settings: Settings,
        source: FundingSource,
        client: PatientClient,
        publisher: Publisher,
        *,
        native: str,
        instrument: Instrument,
    ) -> None:
        self._settings = settings
        self._source = source
        self._client = client
        self._publisher = publisher
        self._native = native
        self._instrument = instrument

    async def run(self, span: FundingSpan, known_ms: set[int], watch: FundingWatch) -> FundingBackfilled:
        published, minutes = 0, (span.until_ms - span.from_ms) // MINUTE_MS
        for part in spans_to_ask(known_ms, span):
            for page in self._pages(part):
                rates = [rate for rate in await self._rates(page) if rate.time_ms not in known_ms]
                await self._publish(rates)
                published += len(rates)
                watch(self._instrument.symbol, (page.until_ms - span.from_ms) // MINUTE_MS, minutes)
                await self._client.pause(PACE_S)
        watch(self._instrument.symbol, minutes, minutes)
        known = sum(span.from_ms <= time_ms < span.until_ms for time_ms in known_ms)
        return FundingBackfilled(self._instrument.market, published, known, self._client.requests)

    def _pages(self, span: FundingSpan) -> list[FundingSpan]:
        """Parts of which an answer holds all rates: there is at most one in an hour."""
        step_ms = self._source.page_rates * HOUR_MS
        starts = range(span.from_ms, span.until_ms, step_ms)
        return [FundingSpan(from_ms, min(from_ms + step_ms, span.until_ms)) for from_ms in starts]

    async def _rates(self, span: FundingSpan) -> list[FundingRate]:
        symbols: Mapping[str, str] = {self._native: self._instrument.symbol}
        request = self._source.funding(self._native, span.from_ms, span.until_ms)
        rates = await self._client.ask(request, lambda body: self._source.read_funding(body, symbols))
        return [rate for rate in rates if span.from_ms <= rate.time_ms < span.until_ms]

    async def _publish(self, rates: Iterable[FundingRate]) -> None:
        records = [Outgoing(rate.key.encode(), encode_funding_rate(rate)) for rate in rates]
        sent = await self._publisher.send_batches(self._settings.topics.funding, records, self._settings.partitions)
        await self._publisher.await_acknowledgements(sent)


def _require_perpetuals(chosen: Mapping[str, Instrument]) -> None:
    others = [each.symbol for each in chosen.values() if not each.symbol.endswith(PERPETUAL)]
    if others:
        raise UsageError(f"{', '.join(others)}: only perpetuals ({PERPETUAL[1:]}) have funding rates")
