"""What the log holds of each key, and where: enough to read a day's minutes back without reading all of the log."""

from collections.abc import ItemsView
from typing import NamedTuple

import msgspec

from market.codec import run_of
from market.errors import MalformedError
from market.records import AHEAD_MS, BareRecord
from market.timeframe import DAY_MS, HOUR_MS

MARGIN_MS = HOUR_MS
"""No candle of a day is appended more than this before the day: a minute is over when its candle is written."""

DayKey = tuple[str, int]
"""Key, and number of the day since 1970."""


class Extent(NamedTuple):
    """The first and the last offset of the records of one key and day."""

    first: int
    last: int

    def with_offset(self, offset: int) -> "Extent":
        """The same, widened to hold another record."""
        return Extent(self.first, offset) if offset > self.last else Extent(min(self.first, offset), self.last)


class _Opening(msgspec.Struct, gc=False):
    """The only field of a candle that is needed to know its day."""

    open_time_ms: int


_opening = msgspec.json.Decoder(_Opening).decode


class MinuteRecord(NamedTuple):
    """Which minute a record is about. Nobody has checked yet whether it is a candle at all."""

    name: DayKey
    open_ms: int
    is_live: bool


def minute_of(record: BareRecord) -> MinuteRecord | None:
    """The minute of a record; None where the record cannot be a candle, or the minute lies in the future."""
    if record.value is None or record.key is None:
        return None
    try:
        open_ms = _opening(record.value).open_time_ms
        key, is_live = record.key.decode(), not record.headers or run_of(record.headers) is None
    except (msgspec.MsgspecError, UnicodeDecodeError, MalformedError, RecursionError):
        return None
    if not 0 <= open_ms <= record.timestamp + AHEAD_MS:
        return None
    return MinuteRecord((key, open_ms // DAY_MS), open_ms, is_live)


class CandleHistory:
    """Where the records of a partition lie: of those appended since some time, later perhaps of the whole log.

    Takes some hundred bytes for each key and day in the log.
    """

    def __init__(self) -> None:
        self.reaches_ms = 0
        """The append time since which all candles are known; 0: all candles of the log are known."""
        self.start = 0
        """The offset from which all candles are known."""
        self.begins_ms: int | None = 0
        """The append time of the log's first record, if older ones were deleted.

        0: none were deleted. None: the log is empty, and its next record will give the time.
        """
        self._extents: dict[DayKey, Extent] = {}
        self._newest_ms: dict[str, int] = {}

    def note(self, name: DayKey, offset: int) -> None:
        """Note where a record of a key and day lies; records may come in any order."""
        extent = self._extents.get(name)
        if extent is None:
            self._extents[name] = Extent(offset, offset)
        elif not extent.first <= offset <= extent.last:
            self._extents[name] = extent.with_offset(offset)

    def is_newest(self, minute: MinuteRecord) -> bool:
        """Whether a minute is live, and newer than all live minutes of its key."""
        return minute.is_live and minute.open_ms > self.newest_ms(minute.name[0])

    def note_newest(self, minute: MinuteRecord) -> None:
        """Note that a minute which `is_newest` has a valid candle."""
        self._newest_ms[minute.name[0]] = minute.open_ms

    def newest_ms(self, key: str) -> int:
        """Open time of the key's newest live minute; -1: there is none."""
        return self._newest_ms.get(key, -1)

    def newest(self) -> ItemsView[str, int]:
        """Each key and open time of its newest live minute."""
        return self._newest_ms.items()

    def extent(self, name: DayKey) -> Extent | None:
        """Where the records of a key and day lie; None where the log holds none."""
        return self._extents.get(name)

    def is_known(self, day: int) -> bool:
        """Whether all records of that day, of any key, are known."""
        return max(0, needs_since_ms(day)) >= self.reaches_ms

    def lose(self, day: int) -> None:
        """Note that candles of that day have left the log."""
        self.begins_ms = max(self.begins_ms or 0, needs_since_ms(day) + 1)

    def may_have_lost(self, day: int) -> bool:
        """Whether candles of that day may have left the log."""
        return needs_since_ms(day) < (self.begins_ms or 0)


def needs_since_ms(day: int) -> int:
    """Append time before which no record of that day is in the log."""
    return day * DAY_MS - MARGIN_MS
