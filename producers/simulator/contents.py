"""What messages carry, minute by minute: trades one by one, by taker order or as aggregates, and seconds."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

from market.timeframe import MINUTE_MS, SECOND_MS
from producers.simulator.archive import Aggregate, Archive, aggregates
from producers.simulator.history import Match
from producers.simulator.klines import Kline

EVENT_DELAY_MS = 1
"""A message is sent this long after its trades."""

Rows = tuple[Match, ...]


def single_trades(archive: Archive, minute: int) -> Iterator[tuple[int, Rows]]:
    """Each trade by itself, and when it is sent (market milliseconds)."""
    for match in archive.carried(minute):
        yield match.time_ms + EVENT_DELAY_MS, (match,)


def taker_orders(archive: Archive, minute: int) -> Iterator[tuple[int, Rows]]:
    """The trades of each taker order together: they have one time."""
    for _, group in groupby(archive.carried(minute), key=lambda match: match.aggregate_id):
        rows = tuple(group)
        yield rows[0].time_ms + EVENT_DELAY_MS, rows


def aggregate_trades(archive: Archive, minute: int) -> Iterator[tuple[int, tuple[Aggregate]]]:
    """The aggregates of a market of single trades, each by itself."""
    for row in aggregates(archive.carried(minute)):
        yield row.time_ms + EVENT_DELAY_MS, (row,)


def seconds(archive: Archive, minute: int) -> Iterator[tuple[int, Kline]]:
    """The klines of the sixty seconds that end in this minute (its first ends as the minute begins), at their ends."""
    first_ms = minute * MINUTE_MS - SECOND_MS
    matches = list(archive.between(first_ms, first_ms + MINUTE_MS))
    price, start = archive.ticks_before(first_ms) or 0, 0
    for open_ms in range(first_ms, first_ms + MINUTE_MS, SECOND_MS):
        end = bisect_right(matches, open_ms + SECOND_MS - 1, lo=start, key=lambda match: match.time_ms)
        kline = Kline(open_ms, SECOND_MS, price)
        kline.add(matches[start:end])
        price, start = kline.close, end
        yield open_ms + SECOND_MS, kline
