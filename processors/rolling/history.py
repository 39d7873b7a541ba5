"""What the log holds of each key, and where: enough to read a day's minutes back without reading all of the log."""

from typing import NamedTuple

import msgspec

from market.codec import run_of
from market.errors import MalformedError
from market.records import Record
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

AHEAD_MS = 2 * MINUTE_MS
"""How far a minute may open after its record's append time: one bad clock must not move a market's ticker."""
MARGIN_MS = HOUR_MS
"""No minute of a day is in the log sooner than this before the day: a minute is over when its candle is written."""

DayName = tuple[str, int]
"""Key, and number of the day since 1970."""


class Extent(NamedTuple):
    """The first and the last offset of the records of one key and day."""

    first: int
    last: int

    def with_offset(self, offset: int) -> "Extent":
        """The same with another record in it."""
        return Extent(min(self.first, offset), max(self.last, offset))


class _Opening(msgspec.Struct, gc=False):
    """As little of a candle as says which day it belongs to."""

    open_time_ms: int


_opening = msgspec.json.Decoder(_Opening).decode


class MinuteRecord(NamedTuple):
    """Which minute a record is of. Whether it is a candle at all is not looked at."""

    name: DayName
    open_ms: int
    is_live: bool


def minute_of(record: Record) -> MinuteRecord | None:
    """What minute the record is of; None where it can't be a candle, or is one of the future."""
    if record.value is None or record.key is None:
        return None
    try:
        open_ms = _opening(record.value).open_time_ms
        key, is_live = record.key.decode(), run_of(record.headers) is None
    except (msgspec.MsgspecError, UnicodeDecodeError, MalformedError, RecursionError):
        return None
    if not 0 <= open_ms <= record.timestamp + AHEAD_MS:
        return None
    return MinuteRecord((key, open_ms // DAY_MS), open_ms, is_live)


class CandleHistory:
    """The records of a partition that are known of: all from some append time on, and in the end all of them.

    Some hundred bytes for each key and day that the log holds, and no more than that.
    """

    def __init__(self) -> None:
        self.reaches_ms = 0
        """Append time from which on the log's candles are known; 0: all of the log's."""
        self.start = 0
        """Offset from which on they are known."""
        self.begins_ms: int | None = 0
        """Append time of the log's first record where older ones were deleted; 0: none were; None: the next one's."""
        self._extents: dict[DayName, Extent] = {}
        self._newest_ms: dict[str, int] = {}

    def note(self, minute: MinuteRecord, offset: int) -> None:
        """Know where a record lies; in any order."""
        extent = self._extents.get(minute.name)
        self._extents[minute.name] = extent.with_offset(offset) if extent else Extent(offset, offset)

    def is_newest(self, minute: MinuteRecord) -> bool:
        """Whether it is live, and newer than all live minutes of its key."""
        return minute.is_live and minute.open_ms > self.newest_ms(minute.name[0])

    def note_newest(self, minute: MinuteRecord) -> None:
        """Know that a live minute that `is_newest` is a candle."""
        self._newest_ms[minute.name[0]] = minute.open_ms

    def newest_ms(self, key: str) -> int:
        """Open time of the key's newest live minute; -1: there is none."""
        return self._newest_ms.get(key, -1)

    def extent(self, name: DayName) -> Extent | None:
        """Where the records of a key and day lie; None where the log holds none."""
        return self._extents.get(name)

    def is_known(self, day: int) -> bool:
        """Whether all records of that day, of any key, are known of."""
        return max(0, needs_since_ms(day)) >= self.reaches_ms

    def lose(self, day: int) -> None:
        """Know that candles of that day have left the log."""
        self.begins_ms = max(self.begins_ms or 0, needs_since_ms(day) + 1)

    def may_have_lost(self, day: int) -> bool:
        """Whether candles of that day may have left the log."""
        return needs_since_ms(day) < (self.begins_ms or 0)


def needs_since_ms(day: int) -> int:
    """Append time before which no record of that day is in the log."""
    return day * DAY_MS - MARGIN_MS
