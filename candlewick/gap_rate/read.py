"""What feeds told of an exchange's markets in `md.feeds.v1`, and how many trades their candles hold."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from candlewick.gap_rate.days import DAY_US, count_days, ended_holes, watched_minutes
from candlewick.gap_rate.incidents import MarketIncidents
from candlewick.gap_rate.published import PublishedTrades
from candlewick.gap_rate.report import GapReport
from candlewick.reading import Watch, read_watched
from market.codec import RUN_HEADER, decode_candle, decode_feed_event, header
from market.errors import MalformedError
from market.records import Record
from market.timeframe import DAY_MS, MINUTE_MS
from producers.exchanges import exchange_named
from runtime.errors import CandlewickError
from runtime.kafka import offsets_at
from runtime.kafka.admin import require_topics
from runtime.settings import Settings

_CLOCKS_MS = 5 * MINUTE_MS
"""A candle is written after its minute, but the clocks of two machines may differ by so much."""
Value = TypeVar("Value")


class _Markets:
    """Tells the records of the markets that were asked for; without symbols, of all markets of the exchange."""

    def __init__(self, settings: Settings, exchange_name: str, symbols: Sequence[str]) -> None:
        self._exchange = exchange_named(exchange_name, settings)
        self._natives = {self._exchange.native(symbol) for symbol in symbols}
        self._known: dict[bytes, bool] = {}

    def hold(self, record_key: bytes | None) -> bool:
        """Whether a record of this key is about one of them."""
        if record_key is None:
            return False
        known = self._known.get(record_key)
        if known is None:
            exchange, _, symbol = record_key.decode(errors="replace").partition(":")
            known = exchange == self._exchange.name
            known = known and (not self._natives or self._exchange.native(symbol) in self._natives)
            self._known[record_key] = known
        return known


async def read_gaps(
    settings: Settings, exchange_name: str, symbols: Sequence[str], days: int, watch: Watch
) -> GapReport:
    """Count the events and candles of the last `days` UTC days, today among them.

    Raises `UsageError` (no such exchange; more than `MOST_DAYS` of markets), `UnavailableError`, or `CandlewickError`
    where nothing was told and published in these days.
    """
    markets = _Markets(settings, exchange_name, symbols)
    topics = settings.topics
    await require_topics(settings, {topics.feeds, topics.candles()})
    first_day = time.time_ns() // 1000 // DAY_US - days + 1
    report = GapReport(exchange_name, first_day)
    incidents: dict[str, MarketIncidents] = {}
    async for _, event in _read(settings, topics.feeds, decode_feed_event, markets=markets, report=report, watch=watch):
        incidents.setdefault(event.key, MarketIncidents()).take(event)
    published = PublishedTrades(watched_minutes(incidents))
    partitions = range(settings.partitions)
    start = await offsets_at(settings, topics.candles(), first_day * DAY_MS - _CLOCKS_MS, partitions)
    async for record, candle in _read(
        settings, topics.candles(), decode_candle, markets=markets, report=report, watch=watch, start=start
    ):
        if candle.open_time_ms >= first_day * DAY_MS:
            is_of_run = header(record.headers, RUN_HEADER) is not None
            published.take(candle, is_of_run=is_of_run, appended_ms=record.timestamp)
    holes = ended_holes(incidents, published)
    report.days = count_days(incidents, holes, published, first_day=first_day)
    report.holes = [ended for ended in holes if ended.hole.until_us // DAY_US >= first_day]
    if not report.days:
        of = f" of {', '.join(symbols)}" if symbols else ""
        raise CandlewickError(
            f"{topics.feeds} and {topics.candles()} hold nothing of {exchange_name}{of} "
            f"in the last {days} days: give more --days"
        )
    return report


async def _read(
    settings: Settings,
    topic: str,
    decode: Callable[[bytes], Value],
    *,
    markets: _Markets,
    report: GapReport,
    watch: Watch,
    start: Mapping[int, int] | None = None,
) -> AsyncIterator[tuple[Record, Value]]:
    """The records of these markets and their values; those that cannot be read are counted."""
    async for records in read_watched(settings, topic, watch, start=start):
        for record in records:
            if record.value is None or not markets.hold(record.key):
                continue
            try:
                value = decode(record.value)
            except MalformedError:
                report.unreadable += 1
            else:
                yield record, value
