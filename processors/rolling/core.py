"""The rolling processor's pure core for one partition: 1m and live candles in log order in, longer candles out.

One marker leads to several 1m candles of one revision, which stand side by side in the log. A window that holds two
of them must come out once, or two different candles would bear one revision: so what candles lead to comes out when
the next revision begins, or, by `settle`, when the caller knows that the log holds no more of this one.
"""

from market.candle import Candle
from market.codec import decode_candle, run_of
from market.errors import MalformedError
from market.partition import partition_of
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from processors.rolling.lane import Lane, Output
from processors.rolling.roll import floor_ms
from processors.rolling.ticker import LONGEST_MS
from runtime.kafka.records import Record

RUN_IDLE_MS = DAY_MS
"""A run without a candle for this long, by the log clock, is over: its lane is let go."""
_SWEEP_MS = HOUR_MS


class Rolling:
    """All lanes of one partition. The same records, from far enough back, give the same outputs."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.offset: int | None = None
        """Offset of the newest 1m record taken in."""
        self.pending = False
        """Whether the newest revision's outputs are still to come out."""
        self._revision: int | None = None
        self._lanes: dict[tuple[str, str | None], Lane] = {}
        self._touched: dict[tuple[str, str | None], Lane] = {}
        self._swept_ms = 0

    def take(self, record: Record) -> list[Output]:
        """Take in a record of the 1m topic; what the revision before it led to comes out."""
        self.offset = record.offset
        candle = self._candle(record)
        if candle is None:
            return []
        outputs = self.settle() if candle.revision != self._revision else []
        self._revision = candle.revision
        lane = self._lane(candle.key, run_of(record.headers), record.timestamp)
        lane.put(candle, record.value or b"", record.timestamp)
        self._touched[lane.key, lane.run] = lane
        self.pending = True
        return outputs

    def settle(self) -> list[Output]:
        """What the newest revision led to."""
        self.pending = False
        outputs = [output for lane in self._touched.values() for output in lane.settle()]
        self._touched.clear()
        return outputs

    def refresh(self, record: Record) -> list[Output]:
        """Take in a record of the live topic."""
        candle = self._candle(record)
        lane = candle and self._lanes.get((candle.key, None))
        return lane.refresh(candle, record.timestamp) if candle and lane else []

    def _candle(self, record: Record) -> Candle | None:
        if record.value is None:  # a `cut`
            return None
        candle = decode_candle(record.value)
        key = candle.key.encode()
        if record.key != key:
            raise MalformedError(f"key {record.key!r} over a candle of {candle.key!r}")
        if (right := partition_of(key, self.partitions)) != self.partition:
            raise MalformedError(f"key {candle.key!r} belongs in partition {right}, not {self.partition}")
        if candle.timeframe != Timeframe.M1 or candle.open_time_ms % MINUTE_MS:
            raise MalformedError(f"not a whole minute: {candle.timeframe} candle of {candle.open_time_ms}")
        return candle

    def _lane(self, key: str, run: str | None, at_ms: int) -> Lane:
        if at_ms >= self._swept_ms + _SWEEP_MS:
            self._swept_ms = at_ms
            for name in [name for name, lane in self._lanes.items() if self._over(lane, at_ms)]:
                del self._lanes[name]
        lane = self._lanes.get((key, run))
        if lane is None or self._over(lane, at_ms):
            lane = self._lanes[key, run] = Lane(key, run)
        return lane

    @staticmethod
    def _over(lane: Lane, at_ms: int) -> bool:
        return lane.run is not None and lane.newest_at_ms < at_ms - RUN_IDLE_MS


def needed_since_ms(record: Record) -> int:
    """Append time of the oldest 1m candle that may have a part in what `record` leads to.

    No candle is in the log before its minute is over, so a live one's windows need none appended before they open; a
    run's minutes can be of any time, but come within a day of each other.
    """
    if record.value is None:
        return record.timestamp
    if run_of(record.headers) is not None:
        return record.timestamp - RUN_IDLE_MS
    open_ms = decode_candle(record.value).open_time_ms
    return min(open_ms - LONGEST_MS, *(floor_ms(child, open_ms) for child in (Timeframe.M1, Timeframe.H1)))
