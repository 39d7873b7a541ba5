"""Candles of many markets, made inside an engine: each number follows from the market's and the minute's number."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

DAY = 1440
"""Minutes."""
CENT, LOT = Decimal("0.01"), Decimal("0.001")
UNTIL = date(2025, 4, 1)
REVISED_EVERY = 100
"""Of the last day's minutes so many have a second, newer revision."""
NUMBERS = """
SELECT *, o + x % 37 + 15 AS h, o - x % 41 - 15 AS l, o + x % 29 - 14 AS c,
    x * 7 % (q + 1) AS taker, 1 + x % 300 AS trades
FROM (
    SELECT *, 1000000 + n * 7919 % 900000 + m % 1440 * 20 + x % 400 AS o, 1000 + x % 90000 AS q
    FROM (SELECT *, (n * 7919 + m * 104729 + v * 611953) % 1000003 AS x FROM ({source}) AS minutes) AS hashed
) AS opened
"""
"""Prices in cents and sizes in lots, of rows with a market's number `n`, a minute `m` and its version `v`.

All are integers of 64 bits. It is SQL in ClickHouse's and in PostgreSQL's dialect.
"""


class Days(NamedTuple):
    """Whole days of market time."""

    first: date
    until: date

    @property
    def minutes(self) -> range:
        """Their minutes, counted from 1970."""
        epoch = date(1970, 1, 1)
        return range((self.first - epoch).days * DAY, (self.until - epoch).days * DAY)

    def months(self) -> Iterator["Days"]:
        """The same days, parted by months."""
        first = self.first
        while first < self.until:
            until = min(self.until, Days(first, self.until).whole_month().until)
            yield Days(first, until)
            first = until

    def whole_month(self) -> "Days":
        """The month of the first."""
        first = self.first.replace(day=1)
        return Days(first, (first + timedelta(days=32)).replace(day=1))


def last(days: int) -> Days:
    """The last so many days."""
    return Days(UNTIL - timedelta(days=days), UNTIL)


def symbol(number: int) -> str:
    """The market's name."""
    return f"S{number:05d}-USDT"


def version(minute: int) -> int:
    """The newest version of a minute."""
    return int(minute in last(1).minutes and minute % REVISED_EVERY == 0)


class Hour(NamedTuple):
    """What a market's minutes of an hour give."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


def hours(number: int, days: Days) -> Iterator[Hour]:
    """A market's hours, apart from any engine."""
    minutes = days.minutes
    for first in range(minutes.start, minutes.stop, 60):
        seen = [_minute(number, minute) for minute in range(first, first + 60)]
        opens, highs, lows, closes, volumes, trades = zip(*seen, strict=True)
        yield Hour(
            datetime.fromtimestamp(first * 60, UTC),
            opens[0] * CENT,
            max(highs) * CENT,
            min(lows) * CENT,
            closes[-1] * CENT,
            sum(volumes) * LOT,
            sum(trades),
        )


def _minute(n: int, m: int) -> tuple[int, int, int, int, int, int]:
    x = (n * 7919 + m * 104729 + version(m) * 611953) % 1000003
    o = 1000000 + n * 7919 % 900000 + m % 1440 * 20 + x % 400
    return o, o + x % 37 + 15, o - x % 41 - 15, o + x % 29 - 14, 1000 + x % 90000, 1 + x % 300
