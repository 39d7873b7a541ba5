"""The last 1,440 minutes of one market, and what is summed over them as they come, go and are corrected. Pure.

Minutes are counted from 1970. All sums are of whole numbers, so they are the same whichever way they were reached.
Some 90 KB a market.
"""

from array import array
from statistics import median

from market.candle import Candle, Status
from processors.signals.numbers import ABSENT, OrderedLogs, log_units

DAY_MINUTES = 1440
HOUR_MINUTES = 60
HOURS_KEPT = 24
_QUOTE_UNITS = float(1 << 64)
"""A float times a power of two is exact: what a quote volume adds to the sum is what it takes away later."""
_ALIVE = 1


class MarketDay:
    """The window that ends with the minute `newest`.

    A minute has a return if it and the minute before it had a candle when the later of the two came.
    """

    __slots__ = (
        "_alive", "_closes", "_hours", "_quote_units", "_quotes", "_returns", "_revisions", "_usual_is_old",
        "_usual_square", "_volumes",
        "alive_minutes", "hour_returns", "hour_squares", "last_alive", "last_minute", "last_revision", "minutes",
        "newest", "oldest", "return_logs", "volume_logs",
    )  # fmt: skip

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self._clear()

    def _clear(self) -> None:
        self._closes = array("d", bytes(8 * DAY_MINUTES))
        self._quotes = array("d", bytes(8 * DAY_MINUTES))
        self._volumes = array("q", [ABSENT]) * DAY_MINUTES
        self._returns = array("q", [ABSENT]) * DAY_MINUTES
        self._revisions = array("q", [-1]) * DAY_MINUTES
        self._alive = bytearray(DAY_MINUTES)
        self.minutes = 0
        """How many of the minutes have a candle."""
        self.alive_minutes = 0
        """How many of them have trades and are no hole."""
        self.last_alive: int | None = None
        self.last_minute = -1
        """The newest minute with a candle, and its revision."""
        self.last_revision = 0
        self.oldest = self.newest + 1
        """No minute before it has a candle."""
        self.volume_logs = OrderedLogs()
        self.return_logs = OrderedLogs()
        self._quote_units = 0
        self._hours: dict[int, tuple[int, int]] = {}
        """Hour → sum of squared returns, number of returns; hours stay whole until they leave."""
        self._usual_square: float | None = None
        self._usual_is_old = True
        self.hour_squares = 0
        """Squared returns of the last 60 minutes, in `LOG_UNIT` squared."""
        self.hour_returns = 0

    @property
    def quote_volume(self) -> float:
        """The sum over the window, in quote units."""
        return self._quote_units / _QUOTE_UNITS

    def close_of(self, minute: int) -> float:
        """The close of a minute; 0 without a candle in the window."""
        return self._closes[minute % DAY_MINUTES] if self._is_inside(minute) else 0.0

    def return_of(self, minute: int) -> int:
        """The log return of a minute in `LOG_UNIT`; `ABSENT` if it has none."""
        return self._returns[minute % DAY_MINUTES] if self._is_inside(minute) else ABSENT

    def usual_square(self, min_hours: int, min_returns: int) -> float | None:
        """The median of the whole hours' mean squared returns, in `LOG_UNIT` squared; None with too few hours.

        Always ask for the same least numbers: it is remembered until an hour changes.
        """
        if self._usual_is_old:
            self._usual_is_old = False
            current = self.newest // HOUR_MINUTES
            whole = [sums for hour, sums in self._hours.items() if hour < current]
            means = [squares / count for squares, count in whole if count >= min_returns]
            self._usual_square = median(means) if len(means) >= min_hours else None
        return self._usual_square

    def advance(self, newest: int) -> None:
        """Let the window end with `newest`; the minutes up to it have no candle yet."""
        if newest - self.newest >= DAY_MINUTES:
            self.newest = newest
            self._clear()
            return
        for minute in range(self.newest + 1, newest + 1):
            self._leave(minute - DAY_MINUTES)
            self._change_hour(self.return_of(minute - HOUR_MINUTES), -1)
            self.newest = minute
            if minute % HOUR_MINUTES == 0:
                self._hours.pop(minute // HOUR_MINUTES - HOURS_KEPT - 1, None)
                self._usual_is_old = True
        while self.oldest <= newest and not self._closes[self.oldest % DAY_MINUTES]:
            self.oldest += 1

    def put(self, minute: int, candle: Candle) -> bool:
        """Take a candle in; False, and nothing is done, if the minute is outside or has this revision or a newer."""
        slot = minute % DAY_MINUTES
        if not self._is_inside(minute) or self._revisions[slot] >= candle.revision:
            return False
        if self._closes[slot]:
            self._withdraw(minute)
        self._revisions[slot] = candle.revision
        self._closes[slot] = float(candle.close)
        self._quotes[slot] = float(candle.quote_volume)
        self._volumes[slot] = log_units(float(candle.volume)) if candle.volume else ABSENT
        self._alive[slot] = _ALIVE if is_alive(candle) else 0
        self._enter(minute)
        return True

    def _is_inside(self, minute: int) -> bool:
        return self.newest - DAY_MINUTES < minute <= self.newest

    def _enter(self, minute: int) -> None:
        slot = minute % DAY_MINUTES
        self.minutes += 1
        self._quote_units += int(self._quotes[slot] * _QUOTE_UNITS)
        if self._volumes[slot] != ABSENT:
            self.volume_logs.add(self._volumes[slot])
        if self._alive[slot]:
            self.alive_minutes += 1
        self.oldest = min(self.oldest, minute)
        self._make_return(minute)
        self._make_return(minute + 1)
        if minute >= self.last_minute:
            self.last_minute, self.last_revision = minute, self._revisions[slot]
        self._find_last_alive(minute)

    def _find_last_alive(self, minute: int) -> None:
        """After `minute` has changed, which may be the newest alive one no more."""
        if self._alive[minute % DAY_MINUTES]:
            self.last_alive = minute if self.last_alive is None else max(self.last_alive, minute)
        elif self.last_alive == minute:
            earlier = range(minute - 1, self.newest - DAY_MINUTES, -1)
            self.last_alive = next((before for before in earlier if self._alive[before % DAY_MINUTES]), None)

    def _withdraw(self, minute: int) -> None:
        """Take back what the candle of the minute has added; the return after it needs its close too."""
        self._take_out(minute % DAY_MINUTES)
        for changed in (minute, minute + 1):
            before = self.return_of(changed)
            if before == ABSENT:
                continue
            self._returns[changed % DAY_MINUTES] = ABSENT
            self.return_logs.remove(before)
            self._change_hours(changed, before, -1)

    def _leave(self, minute: int) -> None:
        """The minute is too old: its hour keeps what it added there."""
        slot = minute % DAY_MINUTES
        if self._returns[slot] != ABSENT:
            self.return_logs.remove(self._returns[slot])
            self._returns[slot] = ABSENT
        if self._closes[slot]:
            self._take_out(slot)
        self._closes[slot] = 0.0
        self._revisions[slot] = -1
        self._alive[slot] = 0
        if self.last_alive == minute:
            self.last_alive = None

    def _take_out(self, slot: int) -> None:
        self.minutes -= 1
        self._quote_units -= int(self._quotes[slot] * _QUOTE_UNITS)
        if self._volumes[slot] != ABSENT:
            self.volume_logs.remove(self._volumes[slot])
        if self._alive[slot]:
            self.alive_minutes -= 1

    def _make_return(self, minute: int) -> None:
        close, before = self.close_of(minute), self.close_of(minute - 1)
        if not close or not before:
            return
        made = log_units(close / before)
        self._returns[minute % DAY_MINUTES] = made
        self.return_logs.add(made)
        self._change_hours(minute, made, 1)

    def _change_hours(self, minute: int, made: int, sign: int) -> None:
        squares, count = self._hours.get(minute // HOUR_MINUTES, (0, 0))
        self._hours[minute // HOUR_MINUTES] = squares + sign * made * made, count + sign
        if minute // HOUR_MINUTES != self.newest // HOUR_MINUTES:
            self._usual_is_old = True
        if minute > self.newest - HOUR_MINUTES:
            self._change_hour(made, sign)

    def _change_hour(self, made: int, sign: int) -> None:
        if made != ABSENT:
            self.hour_squares += sign * made * made
            self.hour_returns += sign


def is_alive(candle: Candle) -> bool:
    """Whether the candle shows that the market was traded."""
    return candle.trades > 0 and candle.status is not Status.HOLE
