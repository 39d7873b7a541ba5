"""Timeframes: how long a candle lasts and when it opens, in UTC."""

from datetime import UTC, datetime
from enum import StrEnum

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MINUTE_US = 60_000_000
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday of the epoch
_MONTHS = 12


class Timeframe(StrEnum):
    """A candle length, by the name that exchanges give it."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H12 = "12h"
    D1 = "1d"
    W1 = "1w"
    MO1 = "1M"

    def open_ms(self, time_ms: int) -> int:
        """Open time of the candle that holds `time_ms`; weeks open on Monday, months on the first."""
        if self is Timeframe.MO1:
            time = datetime.fromtimestamp(time_ms // 1000, UTC)
            return _month_ms(time.year, time.month)
        if self is Timeframe.W1:
            return time_ms - (time_ms - _MONDAY_MS) % (7 * DAY_MS)
        return time_ms - time_ms % _LENGTH_MS[self]

    def end_ms(self, open_ms: int) -> int:
        """First millisecond after the candle that opens at `open_ms`."""
        if self is Timeframe.MO1:
            time = datetime.fromtimestamp(open_ms // 1000, UTC)
            return _month_ms(time.year + time.month // _MONTHS, time.month % _MONTHS + 1)
        return open_ms + _LENGTH_MS[self]


_LENGTH_MS = {
    Timeframe.M1: MINUTE_MS,
    Timeframe.M3: 3 * MINUTE_MS,
    Timeframe.M5: 5 * MINUTE_MS,
    Timeframe.M15: 15 * MINUTE_MS,
    Timeframe.M30: 30 * MINUTE_MS,
    Timeframe.H1: HOUR_MS,
    Timeframe.H2: 2 * HOUR_MS,
    Timeframe.H4: 4 * HOUR_MS,
    Timeframe.H6: 6 * HOUR_MS,
    Timeframe.H12: 12 * HOUR_MS,
    Timeframe.D1: DAY_MS,
    Timeframe.W1: 7 * DAY_MS,
}


def _month_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * SECOND_MS


def minute_us(time_us: int) -> int:
    """Open time of the minute that holds `time_us`."""
    return time_us - time_us % MINUTE_US


def next_minute_us(time_us: int) -> int:
    """First whole minute at or after `time_us`."""
    return -(-time_us // MINUTE_US) * MINUTE_US
