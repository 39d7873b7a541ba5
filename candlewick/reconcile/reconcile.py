"""Candles of Kafka against klines of the exchange, market by market."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import aiohttp

from candlewick.common import utc_us
from candlewick.reading import Watch
from candlewick.reconcile.candles import market_groups, read_newest_candles
from candlewick.reconcile.compare import ComparedSpan, comparable_fields, compare_market
from candlewick.reconcile.klines import ask_klines
from candlewick.reconcile.report import Reconciliation
from market.timeframe import MINUTE_MS, next_minute_us
from market.utc import utc
from producers.exchanges import exchange_named
from producers.feed.rest import RestClient
from producers.feed.runner import find
from producers.feed.selection import Selection
from runtime.errors import CandlewickError, UsageError
from runtime.kafka import ends
from runtime.kafka.admin import require_topics
from runtime.settings import Settings

YOUNG_MS = 2 * MINUTE_MS
"""Minutes that ended so recently are left out: an exchange's klines come up to 30 s late, and so may our candles."""


class Asked(NamedTuple):
    """What the command line asks for; `until` None: until now."""

    exchange: str
    symbols: Sequence[str]
    from_: datetime | None
    until: datetime | None


def asked_span(asked: Asked, now_ms: int) -> tuple[ComparedSpan, bool]:
    """The whole minutes that are asked for, and whether young ones were left out.

    Raises `UsageError`: no symbol, no beginning, or no whole minute that is old enough.
    """
    if not asked.symbols:
        raise UsageError(f"no symbols: name at least one, as in candlewick verify {asked.exchange} BTC-USDT --from …")
    if asked.from_ is None:
        raise UsageError("say from when: --from 2026-01-31T12:00Z")
    old_ms = now_ms - YOUNG_MS
    until_ms = old_ms if asked.until is None else utc_us(asked.until) // 1000
    is_cut = until_ms >= old_ms
    until_ms = min(until_ms, old_ms)
    from_ms = next_minute_us(utc_us(asked.from_)) // 1000
    span = ComparedSpan(from_ms, until_ms - until_ms % MINUTE_MS)
    if span.from_ms >= span.until_ms:
        young = ": minutes younger than two minutes are left out" if is_cut else ""
        raise UsageError(f"there is no whole minute from {utc(from_ms * 1000)} until {utc(until_ms * 1000)}{young}")
    return span, is_cut


async def reconcile(settings: Settings, asked: Asked, watch: Watch) -> Reconciliation:
    """Compare the candles of markets with the klines of their exchange.

    Raises `UsageError` (no such exchange or symbol, no usable span), `RefusedError`, `UnavailableError`, or
    `CandlewickError` where there is no candle at all.
    """
    exchange = exchange_named(asked.exchange, settings)
    span, is_cut = asked_span(asked, time.time_ns() // 1_000_000)
    await require_topics(settings, {settings.topics.candles()})
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        chosen = await find(rest, exchange, Selection(asked.symbols))
        natives = {instrument.market: native for native, instrument in chosen.items()}
        fields = comparable_fields(counts_trades=exchange.klines_count_trades)
        result = Reconciliation(exchange.name, span, leaves_out_young=is_cut)
        result.is_log_cut = any(bound.first for bound in (await ends(settings, settings.topics.candles())).values())
        for group in market_groups(natives, settings.partitions, len(span.minutes)):
            newest = await read_newest_candles(settings, group, span, watch)
            result.unreadable += newest.unreadable
            for key in group.keys:
                result.candles += len(newest.of(key))
                klines = await ask_klines(rest, exchange, natives[key], span, watch)
                result.markets.append(compare_market(key, span, newest.of(key), klines, fields))
    if not result.candles:
        raise CandlewickError(
            f"{settings.topics.candles()} has no candles of {', '.join(map(str, natives))} "
            f"from {utc(span.from_ms * 1000)} until {utc(span.until_ms * 1000)}"
        )
    return result
