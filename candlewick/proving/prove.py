"""Runs a feed for a while, breaks its connections once, and holds what it left in the log against the exchange."""

import asyncio
from collections.abc import Sequence

import aiohttp

from candlewick.proving.evidence import Evidence, verdict
from candlewick.reconcile.compare import ComparedSpan, comparable_fields, compare_market
from candlewick.reconcile.klines import ask_klines
from market.codec import decode_marker, decode_trade
from market.key import MarketKey
from market.partition import partition_of
from producers.capture.recorder import CaptureSettings
from producers.exchanges import exchange_named
from producers.feed.klines import LAG_S
from producers.feed.rest import RestClient
from producers.feed.runner import find, run_feed
from producers.feed.selection import Selection
from producers.feed.session import Session
from runtime.errors import UsageError
from runtime.kafka import ends, read_to_end
from runtime.lifecycle import stopped_within
from runtime.settings import Settings
from runtime.telemetry import logger

_LONGEST_CHECK_S = 3600.0
"""A check keeps its minutes in memory."""


async def prove_exchange(
    settings: Settings,
    exchange_name: str,
    selection: Selection,
    for_s: float,
    stop: asyncio.Event,
    *,
    capture: CaptureSettings | None = None,
) -> tuple[bool, Sequence[str]]:
    """Feed the symbols for `for_s`; returns whether all are proved, and a sentence for each.

    Raises `UsageError` and `UnavailableError` as the feed does, and `RefusedError`.
    """
    if not 0 < for_s <= _LONGEST_CHECK_S:
        raise UsageError("--check takes an hour at most: give it --for 2m")
    exchange = exchange_named(exchange_name, settings)
    before = await ends(settings, settings.topics.trades)

    async def disturb(session: Session) -> None:
        if not await stopped_within(stop, for_s / 2):
            logger("produce").info("breaking all connections, to see that what is missed is filled")
            session.reconnect("broken by --check")
            if not await stopped_within(stop, for_s / 2):
                stop.set()

    await run_feed(settings, exchange_name, selection, stop, capture=capture, beside=disturb)
    logger("produce").info("waiting for the exchange's klines: they come late", seconds=LAG_S)
    await asyncio.sleep(min(LAG_S, for_s))
    start = {partition: bounds.next for partition, bounds in before.items()}
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        chosen = await find(rest, exchange, selection)
        evidence = await _read(settings, [each.market for each in chosen.values()], start)
        outcomes = []
        for native, each in chosen.items():
            of_market = evidence[each.market]
            comparison = None
            if of_market.begun_us is not None and of_market.until_us:
                span = ComparedSpan(of_market.begun_us // 1000, of_market.until_us // 1000)
                klines = await ask_klines(rest, exchange, native, span, lambda *_: None)
                fields = comparable_fields(counts_trades=exchange.klines_count_trades)
                ours = of_market.candles()  # of minutes with trades: theirs are flat in the others
                traded = [kline for kline in klines if kline.volume or kline.open_time_ms in ours]
                comparison = compare_market(each.market, span, ours, traded, fields)
            outcomes.append(verdict(exchange_name, of_market, comparison))
    return all(is_proved for is_proved, _ in outcomes), [sentence for _, sentence in outcomes]


async def _read(settings: Settings, markets: Sequence[MarketKey], start: dict[int, int]) -> dict[MarketKey, Evidence]:
    evidence = {market: Evidence(market) for market in markets}
    of_key = {str(market).encode(): of_market for market, of_market in evidence.items()}
    partitions = {partition_of(key, settings.partitions) for key in of_key}
    async for records in read_to_end(settings, settings.topics.trades, partitions=partitions, start=start):
        for record in records:
            of_market = of_key.get(record.key or b"")
            if of_market is None:
                continue
            if record.value is not None:
                trade = decode_trade(record.value)
                if not any(name == "run" for name, _ in record.headers):
                    of_market.take_trade(trade)
            elif (marker := decode_marker(record.headers)) is not None and marker.run is None:
                of_market.take_marker(marker)
    return evidence
