"""What time it is on the exchange, by all that is known. Pure.

The exchange sends two kinds of times: its own clock, and the times of trades. Both are evidence, not truth:

- A message of a trade has both. Where they agree, the trade's time has passed.
- A message without a trade has only the clock. The clock counts as far as the times of trades, the monotonic clock and
  the market's pace agree with it.
- The pace is learned: a real exchange runs as fast as our clock, a simulated one up to a thousand times faster, in
  the past. No time is ahead of our own clock.

A trade is refused in three cases only: its time is impossible; the clock in its own message contradicts it and the
clock is right; or in a single message both times are far ahead of all others. A trade that is only ahead of what we
know is taken, and the markers wait.
"""

from collections import deque
from enum import Enum

from producers.exchange import TimesTold

AHEAD_US = 10_000_000
"""Our own clock may be at most this far behind the exchange's: a time further ahead is impossible."""
LATE_US = 60_000_000
"""A message is sent at most this long after its trade, by the exchange's own two times."""
EARLY_US = 1_000_000
"""... and at most this long before it: the two times are rounded."""
_TOLERANCE_US = 2_000_000
_TOLERANCE_S = 0.25
"""A message may arrive with this much less delay than those before it, in market time and in our time."""
_QUIET_TOLERANCE_S = 1.0
"""The same while no trade shows how long messages take."""
_QUIET_S = 2.0
"""A market without a trade for this long is quiet."""
_MARK_S = 1.0
_MARKS = 30
_DOUBT_S = 3.0
"""While trades come, our knowledge may lag by at most this much."""
_FORGET_S = 10.0
"""After a silence of this length the pace is learned again: over a long time it is not exact enough."""
_PACE_US = 1_000_000.0
"""The slowest pace of a market: the pace of our clock."""
_FASTEST_US = 1_000 * _PACE_US
_BELIEVE_AGAIN_S = 60.0
"""A clock that jumped is believed again after this long, if it agrees with ours."""


class MarketClock:
    """The present time of one exchange, as its connections prove it. Call `tick` first in each round."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """About one a second: when the greatest time was proven, on our monotonic clock, and the proven time."""
        self._pace_us: float | None = None
        """Market microseconds in a second; None while it is learned."""
        self._anchor = (0.0, 0)
        """The message with the least delay: the market is at least as far as this message says."""
        self.now_s = self._heard_s = self._traded_s = 0.0
        self._advanced_s = 0.0
        """When the greatest time last grew."""
        self._wall_us = 0
        self._newest_us = self._present_us = 0
        self._agreed_us = 0
        """The time on which a trade and the clock beside it last agreed."""
        self.limit_us = 0
        """Later times are impossible."""
        self.doubt_us = 0
        """Later times are not believed from a single message."""

    def tick(self, now_s: float, wall_us: int) -> None:
        """Set the time: `now_s` on the monotonic clock, `wall_us` on our wall clock."""
        if now_s - self._heard_s > _FORGET_S:
            self._forget(now_s)
        if self._newest_us and self._advanced_s - (self._marks[-1][0] if self._marks else -_MARK_S) >= _MARK_S:
            self._mark()
        self.now_s, self._wall_us = now_s, wall_us
        self.limit_us = wall_us + AHEAD_US
        self._present_us = self._newest_us
        if self._pace_us is not None:
            self._present_us = self._anchor[1] + int(self._pace_us * (now_s - self._anchor[0]))
        self.doubt_us = self.limit_us
        if self._newest_us and not self.is_quiet:
            pace_us = self._pace_us or _FASTEST_US
            self.doubt_us = min(self.limit_us, self._present_us + LATE_US + int(pace_us * _DOUBT_S))

    def traded(self, time_us: int) -> None:
        """Note a trade's time that agrees with the clock beside it."""
        self._heard_s = self._traded_s = self.now_s
        self._agreed_us = time_us

    def show(self, time_us: int, arrived_s: float) -> None:
        """Note that the market had reached this time when the message came, at `arrived_s` on the monotonic clock."""
        self._heard_s = self.now_s
        if time_us > self._newest_us:
            self._newest_us, self._advanced_s = time_us, arrived_s
        present_us = time_us
        if arrived_s < self.now_s and self._pace_us is not None:
            present_us += int(self._pace_us * (self.now_s - arrived_s))
        if present_us > self._present_us:  # the least delayed message so far
            self._present_us = present_us
            self._anchor = (arrived_s, time_us)

    def allows(self, clock_us: int) -> bool | None:
        """Whether the exchange's clock, without a trade beside it, can be right; None: not known yet."""
        self._heard_s = self.now_s
        if clock_us > self.limit_us:
            return False
        if self._pace_us is not None:
            return clock_us <= self._present_us + self._tolerance_us or self._is_right_again(clock_us)
        return self.is_quiet or self._is_ours(clock_us) or None

    def is_behind(self, clock_us: int, than_us: int) -> bool:
        """Whether `clock_us` lies too far before `than_us`, which the same connection proved, to be a delay."""
        return self._pace_us is not None and clock_us < than_us - self._delay_us(_QUIET_TOLERANCE_S)

    def favours(self, trade_us: int, clock_us: int) -> bool | None:
        """True: the trade's time is right and the clock beside it is wrong. False: the reverse. None: not known."""
        self._heard_s = self.now_s
        if trade_us > self.limit_us:
            return False
        self._traded_s = self.now_s
        about_us = self._present_us or self._agreed_us
        if about_us or clock_us > self.limit_us:
            return abs(trade_us - about_us) < abs(clock_us - about_us)
        if self._is_ours(trade_us) != self._is_ours(clock_us):
            return self._is_ours(trade_us)
        return None

    def present_at(self, clock_us: int) -> int:
        """The clock's time, raised to the present if earlier, lowered to the latest possible time if later."""
        latest_us = self.limit_us
        if self._pace_us is not None:
            latest_us = min(latest_us, self._present_us + self._tolerance_us)
        return max(self._present_us, min(clock_us, latest_us))

    @property
    def is_quiet(self) -> bool:
        """Whether trades are too rare to tell the time."""
        return self.now_s - self._traded_s > _QUIET_S

    @property
    def _tolerance_us(self) -> int:
        return self._delay_us(_QUIET_TOLERANCE_S if self.is_quiet else _TOLERANCE_S)

    def _delay_us(self, seconds: float) -> int:
        return _TOLERANCE_US + int(seconds * (self._pace_us or _PACE_US))

    def _is_ours(self, time_us: int) -> bool:
        return abs(self._wall_us - time_us) <= AHEAD_US

    def _forget(self, now_s: float) -> None:
        self._marks.clear()
        self._pace_us = None
        self._newest_us = self._present_us = self._agreed_us = 0
        self._heard_s = self._advanced_s = self._traded_s = now_s

    def _mark(self) -> None:
        self._marks.append((self._advanced_s, self._newest_us))
        (first_s, first_us), (last_s, last_us) = self._marks[0], self._marks[-1]
        if last_s > first_s:
            self._pace_us = pace_us = max(_PACE_US, (last_us - first_us) / (last_s - first_s))
            self._anchor = max(self._marks, key=lambda mark: mark[1] - pace_us * mark[0])

    def _is_right_again(self, clock_us: int) -> bool:
        if self.now_s - self._advanced_s < _BELIEVE_AGAIN_S or not self._is_ours(clock_us):
            return False
        self._forget(self.now_s)
        return True


STEP_US = 2_000_000
"""A time that is more than this ahead of the connection's must come in two messages."""
AWAY_S = 5.0
AWAY_MESSAGES = 3
"""A clock counts as away after it was impossible for this long (above), and in this many messages."""


class ClockChange(Enum):
    """How a connection's clock changed: its times became impossible for good, or possible again."""

    AWAY = "away"
    BACK = "back"


class ProvenTime:
    """The market time that the messages of one connection prove to have passed."""

    def __init__(self, market: MarketClock) -> None:
        self._market = market
        self.us = 0
        """Market time that has passed; 0 while it is not known."""
        self.is_away = False
        self.ignored = 0
        """How many messages had an impossible clock."""
        self.last_ignored_us = 0
        """The clock of the last of them."""
        self._heard_us, self._heard_s = 0, 0.0
        """The time of the newest message, and when it came."""
        self._in_a_row = 0
        self._since_s: float | None = None

    def hear(self, server_us: int, trade_us: int = 0) -> bool:
        """Read a message's clock, and the time of its trade (0: none); False: the trade's time is impossible."""
        if not trade_us:
            if server_us:
                self._carry(server_us)
            return True
        if server_us and not -EARLY_US <= server_us - trade_us <= LATE_US:
            return self._contradicted(server_us, trade_us)
        market = self._market
        if trade_us > market.doubt_us and (trade_us > market.limit_us or self._heard_us <= market.doubt_us):
            if trade_us <= market.limit_us:
                self._heard_us, self._heard_s = trade_us, market.now_s
            self._ignore(server_us)
            return False
        market.traded(trade_us)
        if self.us < trade_us <= self.us + STEP_US:  # as in `_prove`, where no second message is needed
            self._advance(trade_us)
        elif trade_us > self.us:
            self._prove(trade_us)
        return True

    def hear_together(self, times: TimesTold) -> bool:
        """Read the times of many messages, where nothing needs a decision: the same as `hear` with each.

        False: nothing was read, and `hear` has to read each.
        """
        newest_us, market = times.trade_us, self._market
        if newest_us > min(self.us + STEP_US, market.doubt_us):
            return False
        if times.least_lead_us < -EARLY_US or times.greatest_lead_us > LATE_US:
            return False
        market.traded(times.last_us)
        if newest_us > self.us:
            self._advance(newest_us)
        return True

    def reconnected(self) -> None:
        """Forget the single message of the previous connection that waits for a second one."""
        self._heard_us = 0

    def change(self, now_s: float) -> ClockChange | None:
        """How the clock changed since the last call; None: not at all."""
        if not self._in_a_row:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        if self.is_away and not self._in_a_row:
            self.is_away = False
            return ClockChange.BACK
        lasts = self._since_s is not None and now_s - self._since_s >= AWAY_S
        if lasts and self._in_a_row >= AWAY_MESSAGES and not self.is_away:
            self.is_away = True
            return ClockChange.AWAY
        return None

    def _contradicted(self, server_us: int, trade_us: int) -> bool:
        """The two times of a message contradict each other: the one that fits the market's present is right.

        If nobody can tell which one that is, the trade is taken, and proves nothing.
        """
        is_trade_right = self._market.favours(trade_us, server_us)
        if is_trade_right is False:
            self._carry(server_us)
            return False
        self._ignore(server_us)
        if is_trade_right:
            self._market.show(trade_us, self._market.now_s)
        return True

    def _carry(self, server_us: int) -> None:
        is_possible = self._market.allows(server_us)
        if is_possible is False or self._market.is_behind(server_us, self.us):
            self._ignore(server_us)
        elif is_possible:
            self._prove(server_us)

    def _advance(self, time_us: int) -> None:
        """A later time, but so little that it needs no second message."""
        self.us = self._heard_us = time_us
        self._heard_s = self._market.now_s
        self._in_a_row = 0
        self._market.show(time_us, self._heard_s)

    def _prove(self, time_us: int) -> None:
        """A message says a later time than is proven: it has passed. A large step needs two messages."""
        shown_us, arrived_s = time_us, self._market.now_s
        if time_us - self.us > STEP_US:
            shown_us, arrived_s = min((shown_us, arrived_s), (self._heard_us, self._heard_s))
        self._heard_us, self._heard_s = time_us, self._market.now_s
        if shown_us > self.us:
            self.us = shown_us
            self._in_a_row = 0
            self._market.show(shown_us, arrived_s)

    def _ignore(self, server_us: int) -> None:
        self.ignored += 1
        self._in_a_row += 1
        self.last_ignored_us = server_us
