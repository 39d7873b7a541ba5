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
from processors.rolling.ticker import LONGEST_MS
from runtime.kafka.records import Record

RUN_IDLE_MS = DAY_MS
"""A run without a candle for this long, by the log clock, is over: its lane is let go."""
LIVE_REACH_MS = LONGEST_MS + 4 * HOUR_MS
"""No candle is in the log before its minute is over: what a live minute leads to needs none that was appended this
long before the minute opened. The longest window is a day; the horizon, and an hour that has no candle yet, add to it.
"""
_SWEEP_MS = HOUR_MS


class HistoryNeededError(Exception):
    """The state must be rebuilt from candles appended at or after `since_ms` before the record can be taken in."""

    def __init__(self, since_ms: int) -> None:
        super().__init__(f"candles since {since_ms} are needed")
        self.since_ms = since_ms


class Rolling:
    """All lanes of one partition. The same records, from far enough back, give the same outputs."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.restoring = False
        """While true, what comes out is thrown away by the caller, and mostly not computed."""
        self.reaches_ms = 0
        """Append time from which on the log's candles are in; 0: all of the log's."""
        self.offset = -1
        """Offset of the newest 1m record taken in."""
        self.pending = False
        """Whether the newest revision's outputs are still to come out."""
        self._revision: int | None = None
        self._lanes: dict[tuple[str, str | None], Lane] = {}
        self._touched: dict[tuple[str, str | None], Lane] = {}
        self._swept_ms = 0

    def take(self, record: Record) -> list[Output]:
        """Take in a record of the 1m topic; what the revision before it led to comes out.

        Raises `HistoryNeededError` where the state does not reach back far enough, and `MalformedError`: neither
        changes anything.
        """
        candle = self._candle(record)
        if candle is None:
            return []
        run = run_of(record.headers)
        since_ms = candle.open_time_ms - LIVE_REACH_MS if run is None else record.timestamp - RUN_IDLE_MS
        if max(0, since_ms) < self.reaches_ms:
            raise HistoryNeededError(since_ms)
        outputs = self.settle() if candle.revision != self._revision else []
        self._revision = candle.revision
        lane = self._lane(candle.key, run, record.timestamp)
        lane.put(candle, record.value or b"", record.timestamp)
        self._touched[lane.key, lane.run] = lane
        self.offset, self.pending = record.offset, True
        return outputs

    def settle(self) -> list[Output]:
        """What the newest revision led to."""
        self.pending = False
        outputs = [output for lane in self._touched.values() for output in lane.settle(restoring=self.restoring)]
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
