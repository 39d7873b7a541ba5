"""Funding rates of a feed's perpetuals, in `md.funding.v1`: what was settled, and what is expected.

Settled rates go on from the newest published one, or begin `HISTORY_S` ago: none is left out while a producer is away
for less than that. Expected rates are published when they change. What cannot be asked for or published now is tried
again: the feed goes on meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from market.codec import decode_funding_rate, encode_funding_rate
from market.errors import MalformedError
from market.funding import FundingKind, FundingRate
from market.instrument import Instrument
from market.key import MarketKey
from market.partition import partition_of
from producers.exchange import Exchange, FundingSource, RestRequest
from producers.feed.funding_plan import FundingPlan
from producers.feed.progress import STAGE
from producers.feed.rest import RestClient
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher, offsets_at, read_to_end
from runtime.settings import Settings
from runtime.telemetry import logger

HISTORY_S = 7 * 86_400
EXPECTED_EVERY_S = 900.0
PACE_S = 1.0
"""Between two requests: half of what Binance allows for funding rates."""
TRY_AGAIN_S = 30.0
PERPETUAL = "-PERP"


async def publish_funding(
    settings: Settings,
    exchange: Exchange,
    source: FundingSource | None,
    rest: RestClient,
    instruments: Mapping[str, Instrument],
) -> None:
    """Publish the funding rates of the perpetuals among these (by native name, and they may change) until cancelled.

    `source` None: the exchange has none, and there is nothing to do.
    """
    while source is not None:
        try:
            async with Publisher(settings) as publisher:
                await _Funding(settings, exchange, source, rest, publisher).run(instruments)
        except CandlewickError as error:  # Kafka: go on from what it holds
            logger(STAGE).warning("funding rates are not published", error=str(error), again_in_s=TRY_AGAIN_S)
            await asyncio.sleep(TRY_AGAIN_S)


async def settled_times(settings: Settings, keys: Iterable[str], since_ms: int = 0) -> dict[str, set[int]]:
    """By key, the times of the settled rates among the records that were appended since `since_ms`."""
    topic, wanted = settings.topics.funding, {key.encode() for key in keys}
    partitions = {partition_of(key, settings.partitions) for key in wanted}
    times: dict[str, set[int]] = {}
    if not partitions:
        return times
    start = await offsets_at(settings, topic, since_ms, partitions)
    async for records in read_to_end(settings, topic, partitions=partitions, start=start):
        for record in records:
            if record.key not in wanted or record.value is None:
                continue
            try:
                rate = decode_funding_rate(record.value)
            except MalformedError as error:
                place = f"{record.topic}/{record.partition}/{record.offset}"
                logger(STAGE).warning("a funding rate cannot be read", record=place, error=str(error))
                continue
            if rate.kind is FundingKind.SETTLED:
                times.setdefault(rate.key, set()).add(rate.time_ms)
    return times


class _Funding:
    """Asks and publishes for as long as Kafka takes it."""

    def __init__(
        self, settings: Settings, exchange: Exchange, source: FundingSource, rest: RestClient, publisher: Publisher
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._source = source
        self._rest = rest
        self._publisher = publisher
        self._plan = FundingPlan(source.page_rates)
        self._symbols: dict[str, str] = {}
        self._expected_due_s = 0.0
        self._fails = False

    async def run(self, instruments: Mapping[str, Instrument]) -> None:
        """Until Kafka fails, as a `CandlewickError`."""
        while True:
            perpetuals = {n: each.symbol for n, each in instruments.items() if each.symbol.endswith(PERPETUAL)}
            await self._follow(perpetuals)
            if self._symbols:
                if time.monotonic() >= self._expected_due_s:
                    self._expected_due_s = time.monotonic() + EXPECTED_EVERY_S
                    await self._publish_expected()
                else:
                    await self._publish_settled()
            await asyncio.sleep(PACE_S)

    async def _follow(self, symbols: dict[str, str]) -> None:
        if symbols == self._symbols:
            return
        self._symbols = symbols
        self._plan.retain(symbols)
        keys = {n: str(MarketKey(self._exchange.name, s)) for n, s in symbols.items() if n not in self._plan}
        since_ms = _now_ms() - HISTORY_S * 1000
        times = await settled_times(self._settings, keys.values(), since_ms)
        self._plan.follow({native: max(times.get(key, ()), default=since_ms) for native, key in keys.items()})
        self._expected_due_s = 0.0

    async def _publish_expected(self) -> None:
        rates = await self._asked(self._source.expected_funding(), self._source.read_expected_funding)
        if rates is None:
            return
        natives = {symbol: native for native, symbol in self._symbols.items()}
        by_native = {natives[rate.symbol]: rate for rate in rates}
        await self._publish(self._plan.new_expected(by_native, _now_ms()))
        self._plan.published_expected(by_native)

    async def _publish_settled(self) -> None:
        ask = self._plan.next_ask(_now_ms())
        if ask is None:
            return
        request = self._source.funding(ask.native, ask.from_ms, ask.until_ms)
        rates = await self._asked(request, self._source.read_funding)
        if rates is None:
            self._plan.failed(ask, _now_ms())
            return
        new = self._plan.new(ask, rates)
        await self._publish(new)
        self._plan.published(ask, new, _now_ms())

    async def _asked(
        self, request: RestRequest, read: Callable[[bytes, Mapping[str, str]], list[FundingRate]]
    ) -> list[FundingRate] | None:
        """The answer, read; None: there is none now, which is told once for as long as it lasts."""
        try:
            rates = read(await self._rest.get(request), self._symbols)
        except (CandlewickError, MalformedError) as error:
            if not self._fails:
                logger(STAGE).warning("no funding rates now", error=str(error))
            self._fails = True
            return None
        if self._fails:
            logger(STAGE).info("funding rates again")
        self._fails = False
        return rates

    async def _publish(self, rates: Iterable[FundingRate]) -> None:
        records = [Outgoing(rate.key.encode(), encode_funding_rate(rate)) for rate in rates]
        topic = self._settings.topics.funding
        sent = await self._publisher.send_batches(topic, records, self._settings.partitions)
        await self._publisher.await_acknowledgements(sent)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
