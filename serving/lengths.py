"""How long the candles of a question are: any number of minutes, hours, days, weeks or months, in UTC. Pure."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe

_FIRST_YEAR = 1970
_MONTHS = 12
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday of the epoch
LONGEST_MS = 366 * DAY_MS
_form = re.compile(r"([1-9][0-9]{0,5})([mhdwM])", re.ASCII).fullmatch


class LengthUnit(StrEnum):
    """What a length counts."""

    MINUTE = "m"
    HOUR = "h"
    DAY = "d"
    WEEK = "w"
    MONTH = "M"


_UNIT_MS = {
    LengthUnit.MINUTE: MINUTE_MS,
    LengthUnit.HOUR: HOUR_MS,
    LengthUnit.DAY: DAY_MS,
    LengthUnit.WEEK: 7 * DAY_MS,
}


class CandleLength(NamedTuple):
    """A length such as ``7m``, ``90m``, ``3d``, ``1w`` or ``1M``.

    Windows are counted from 1970-01-01, those of weeks from Monday 1970-01-05, those of months from January 1970.
    """

    units: int
    unit: LengthUnit
    fixed_ms: int | None
    """Milliseconds of every window; None for months."""

    @staticmethod
    def parse(text: str) -> "CandleLength":
        """Read a length of at most a year; ``60m`` is ``1h``. Raises `ValueError`."""
        match = _form(text)
        if match is None:
            raise ValueError("must be a number with m, h, d, w or M (months) behind it, as '7m', '1h', '3d' or '1M'")
        length = _length(int(match[1]), LengthUnit(match[2]))
        if length.end_ms(length.open_ms(0)) > LONGEST_MS:
            raise ValueError("must be a year at most")
        return CandleLength.of(length.timeframe) if length.timeframe else length

    @staticmethod
    def of(timeframe: Timeframe) -> "CandleLength":
        """The length of a timeframe."""
        return _length(int(timeframe.value[:-1]), LengthUnit(timeframe.value[-1]))

    def __str__(self) -> str:
        return f"{self.units}{self.unit}"

    @property
    def anchor_ms(self) -> int:
        """Where windows of a fixed length are counted from."""
        return _MONDAY_MS if self.unit is LengthUnit.WEEK else 0

    @property
    def timeframe(self) -> Timeframe | None:
        """The timeframe with the same windows, if the pipeline makes its candles."""
        return _TIMEFRAMES.get((self.fixed_ms or self.units, self.anchor_ms, self.unit is LengthUnit.MONTH))

    def open_ms(self, time_ms: int) -> int:
        """Open time of the window that holds `time_ms`; the first week begins before 1970, and is negative."""
        if self.fixed_ms is not None:
            return time_ms - (time_ms - self.anchor_ms) % self.fixed_ms
        month = _month_of(time_ms)
        return _month_ms(month - month % self.units)

    def end_ms(self, open_ms: int) -> int:
        """First millisecond after the window that opens at `open_ms`."""
        if self.fixed_ms is not None:
            return open_ms + self.fixed_ms
        return _month_ms(_month_of(open_ms) + self.units)

    def minutes(self, open_ms: int) -> int:
        """How many minutes the window has that opens at `open_ms`."""
        return (self.end_ms(open_ms) - open_ms) // MINUTE_MS


def check_length(value: str | None) -> str | None:
    """The usual name of a length. Raises `ValueError`."""
    return None if value is None else str(CandleLength.parse(value))


def _length(units: int, unit: LengthUnit) -> CandleLength:
    return CandleLength(units, unit, None if unit is LengthUnit.MONTH else units * _UNIT_MS[unit])


def _month_of(time_ms: int) -> int:
    """Months since January 1970."""
    time = datetime.fromtimestamp(time_ms // 1000, UTC)
    return (time.year - _FIRST_YEAR) * _MONTHS + time.month - 1


def _month_ms(month: int) -> int:
    years, months = divmod(month, _MONTHS)
    return int(datetime(_FIRST_YEAR + years, months + 1, 1, tzinfo=UTC).timestamp()) * 1000


MINUTE = _length(1, LengthUnit.MINUTE)
_TIMEFRAMES = {
    (length.fixed_ms or length.units, length.anchor_ms, length.unit is LengthUnit.MONTH): timeframe
    for timeframe in Timeframe
    for length in [CandleLength.of(timeframe)]
}
