"""The exchange's own klines over REST, page by page."""

from collections.abc import Iterable

from candlewick.reading import Watch
from candlewick.reconcile.compare import ComparedSpan
from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.timeframe import MINUTE_MS
from producers.exchange import Exchange
from producers.feed.rest import RestClient
from runtime.errors import UnavailableError

LEAD_MS = 30 * MINUTE_MS
"""Klines are asked for from so long before the span: one of these shows that the history reaches back to it."""


async def ask_klines(
    rest: RestClient, exchange: Exchange, native: str, span: ComparedSpan, watch: Watch
) -> list[GivenCandle]:
    """The klines of a span, and of `LEAD_MS` before it; the exchange need not have all of them.

    Raises `RefusedError`, or `UnavailableError`: no answer that can be read.
    """
    klines: list[GivenCandle] = []
    page = first_page(span, exchange.page_klines)
    asked = page.from_ms
    while page.from_ms < span.until_ms:
        body = await rest.get(exchange.klines(native, page.from_ms, page.until_ms))
        try:
            rows = exchange.read_klines(body)
        except MalformedError as error:
            raise UnavailableError(f"the klines of {exchange.name} cannot be read: {error}") from error
        klines.extend(row for row in rows if page.from_ms <= row.open_time_ms < page.until_ms)
        page = next_page(page, (row.open_time_ms for row in rows), span, exchange.page_klines)
        watch(f"klines of {native}", (page.from_ms - asked) // MINUTE_MS, (span.until_ms - asked) // MINUTE_MS)
    return klines


def first_page(span: ComparedSpan, minutes: int) -> ComparedSpan:
    """What to ask for first; at most so many `minutes`."""
    from_ms = max(0, span.from_ms - LEAD_MS)
    return ComparedSpan(from_ms, min(span.until_ms, from_ms + minutes * MINUTE_MS))


def next_page(page: ComparedSpan, opens_ms: Iterable[int], span: ComparedSpan, minutes: int) -> ComparedSpan:
    """What to ask for after this page, whose answer had klines with these open times; it is empty at the span's end.

    An exchange that keeps a short history may answer with its oldest klines instead, which lie behind the page: then
    there is nothing in between.
    """
    oldest_ms = min(opens_ms, default=page.until_ms)
    from_ms = min(span.until_ms, max(page.until_ms, oldest_ms - oldest_ms % MINUTE_MS))
    return ComparedSpan(from_ms, min(span.until_ms, from_ms + minutes * MINUTE_MS))
