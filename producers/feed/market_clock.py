"""What time it is on the exchange, by all that is known. Pure.

Times that the exchange sends, its own clock's and its trades', are evidence. A message of a trade tells two of them:
where they agree, the trade's time has passed. The clock alone, beside a kline, is one witness: it counts as far as
the trades' times, the monotonic clock and the market's pace say the same. How fast the market runs is learned: a real
exchange runs as fast as we do, a simulated one up to a thousand times faster, in the past. Nothing is ahead of our own
clock.

A trade is refused only where its time cannot be, where the clock in its own message says another and is right, or
where both are far ahead of all the others, in one message alone: what our own knowledge lags behind is taken, and the
markers wait.
"""

from collections import deque
from enum import Enum

AHEAD_US = 10_000_000
"""How far our own clock may be behind the exchange's: what is further ahead cannot be."""
LATE_US = 60_000_000
"""An event is sent at most so long after the trade it is about, by the exchange's own two times."""
EARLY_US = 1_000_000
"""... and so long before it, at most: the two are rounded."""
_TOLERANCE_US = 2_000_000
_TOLERANCE_S = 0.25
"""How much a message may have been delayed less than the ones before it, in market time and in ours."""
_QUIET_TOLERANCE_S = 1.0
"""The same where no trade's time tells how long messages take."""
_QUIET_S = 2.0
"""So long without a trade a market is quiet."""
_MARK_S = 1.0
_MARKS = 30
_DOUBT_S = 3.0
"""So much our knowledge may lag, at most, while trades come."""
_FORGET_S = 10.0
"""After such a silence the pace is learned anew: in the long run it isn't exact enough to say anything by."""
_PACE_US = 1_000_000.0
"""The slowest pace of a market: ours."""
_FASTEST_US = 1_000 * _PACE_US
_HEAL_S = 60.0
"""A clock that jumped, but agrees with ours, is believed after so long."""


class MarketClock:
    """The present of one exchange, as the times show it that its connections prove; `tick` comes first."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """About one a second: when the greatest time was shown, on our monotonic clock, and it."""
        self._pace_us: float | None = None
        """Market microseconds in a second; None while it is learned."""
        self._anchor = (0.0, 0)
        """The message that was delayed least: the market's present is at least as far as it says."""
        self.now_s = self._heard_s = self._traded_s = 0.0
        self._moved_s = 0.0
        """When the greatest time last grew."""
        self._wall_us = 0
        self._newest_us = self._present_us = 0
        self._told_us = 0
        """What a trade and the clock beside it said last."""
        self.limit_us = 0
        """Later times cannot be."""
        self.doubt_us = 0
        """Later times are not taken from one message alone."""

    def tick(self, now_s: float, wall_us: int) -> None:
        """Time passed: `now_s` on the monotonic clock, `wall_us` on ours."""
        if now_s - self._heard_s > _FORGET_S:
            self._forget(now_s)
        if self._newest_us and self._moved_s - (self._marks[-1][0] if self._marks else -_MARK_S) >= _MARK_S:
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
        """A trade's time, and the clock beside it says the same."""
        self._heard_s = self._traded_s = self.now_s
        self._told_us = time_us

    def show(self, time_us: int, at_s: float) -> None:
        """The market was at least at this time when the message came, at `at_s` on the monotonic clock."""
        self._heard_s = self.now_s
        if time_us > self._newest_us:
            self._newest_us, self._moved_s = time_us, at_s
        present_us = time_us
        if at_s < self.now_s and self._pace_us is not None:
            present_us += int(self._pace_us * (self.now_s - at_s))
        if present_us > self._present_us:  # delayed less than any before it
            self._present_us = present_us
            self._anchor = (at_s, time_us)

    def allows(self, clock_us: int) -> bool | None:
        """Whether the exchange's clock, without a trade beside it, can be right; None: nobody can tell yet."""
        self._heard_s = self.now_s
        if clock_us > self.limit_us:
            return False
        if self._pace_us is not None:
            return clock_us <= self._present_us + self._tolerance_us or self._heals(clock_us)
        return self.is_quiet or self._is_ours(clock_us) or None

    def is_behind(self, clock_us: int, than_us: int) -> bool:
        """Whether a time is so much before one that the same connection proved that no delay explains it."""
        return self._pace_us is not None and clock_us < than_us - self._delay_us(_QUIET_TOLERANCE_S)

    def favours(self, trade_us: int, clock_us: int) -> bool | None:
        """Of a trade's time and another one of the clock beside it, whether the trade's is right; None: who knows."""
        self._heard_s = self.now_s
        if trade_us > self.limit_us:
            return False
        self._traded_s = self.now_s
        about_us = self._present_us or self._told_us
        if about_us or clock_us > self.limit_us:
            return abs(trade_us - about_us) < abs(clock_us - about_us)
        if self._is_ours(trade_us) != self._is_ours(clock_us):
            return self._is_ours(trade_us)
        return None

    def present_at(self, clock_us: int) -> int:
        """No earlier than the present, if the clock says so: as near to what the clock says as can be."""
        latest_us = self.limit_us
        if self._pace_us is not None:
            latest_us = min(latest_us, self._present_us + self._tolerance_us)
        return max(self._present_us, min(clock_us, latest_us))

    @property
    def is_quiet(self) -> bool:
        """Whether trades are too rare to tell the time by."""
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
        self._newest_us = self._present_us = self._told_us = 0
        self._heard_s = self._moved_s = self._traded_s = now_s

    def _mark(self) -> None:
        self._marks.append((self._moved_s, self._newest_us))
        (first_s, first_us), (last_s, last_us) = self._marks[0], self._marks[-1]
        if last_s > first_s:
            self._pace_us = pace_us = max(_PACE_US, (last_us - first_us) / (last_s - first_s))
            self._anchor = max(self._marks, key=lambda mark: mark[1] - pace_us * mark[0])

    def _heals(self, clock_us: int) -> bool:
        if self.now_s - self._moved_s < _HEAL_S or not self._is_ours(clock_us):
            return False
        self._forget(self.now_s)
        return True


STEP_US = 2_000_000
"""A connection's time that goes on by more at once has to be said by two messages."""
AWAY_S = 5.0
AWAY_MESSAGES = 3
"""So long, and in so many messages, a clock has to say what cannot be, before it counts as away."""


class ClockTurn(Enum):
    """What changed about a connection's clock."""

    AWAY = "away"
    BACK = "back"


class CarriedTime:
    """How far the messages of one connection prove that market time has passed."""

    def __init__(self, market: MarketClock) -> None:
        self._market = market
        self.us = 0
        """Market time that has passed; 0 as long as nobody knows."""
        self.is_away = False
        self.ignored = 0
        """Messages whose clock said what cannot be."""
        self.said_us = 0
        """What the last of them said."""
        self._heard_us, self._heard_s = 0, 0.0
        """The newest time that was said, and when."""
        self._in_a_row = 0
        self._since_s: float | None = None

    def hear(self, server_us: int, trade_us: int = 0) -> bool:
        """A message with the server's time, and a trade's if it carries one; False: the trade's time cannot be."""
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
        if trade_us > self.us:
            self._prove(trade_us)
        return True

    def reconnected(self) -> None:
        """What the connection before said once does not count as said."""
        self._heard_us = 0

    def turn(self, now_s: float) -> ClockTurn | None:
        """Whether the clock went away, or came back, since it was last asked."""
        if not self._in_a_row:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        if self.is_away and not self._in_a_row:
            self.is_away = False
            return ClockTurn.BACK
        lasts = self._since_s is not None and now_s - self._since_s >= AWAY_S
        if lasts and self._in_a_row >= AWAY_MESSAGES and not self.is_away:
            self.is_away = True
            return ClockTurn.AWAY
        return None

    def _contradicted(self, server_us: int, trade_us: int) -> bool:
        """The two times of one message can't both be: the one that goes on as it should is right.

        Where nobody knows which it is, the trade is taken, and proves nothing.
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
        can_be = self._market.allows(server_us)
        if can_be is False or self._market.is_behind(server_us, self.us):
            self._ignore(server_us)
        elif can_be:
            self._prove(server_us)

    def _prove(self, time_us: int) -> None:
        """A later time than is proved is said: it has passed, or, where the step is a large one, what was said last."""
        shown_us, at_s = time_us, self._market.now_s
        if time_us - self.us > STEP_US:
            shown_us, at_s = min((shown_us, at_s), (self._heard_us, self._heard_s))
        self._heard_us, self._heard_s = time_us, self._market.now_s
        if shown_us > self.us:
            self.us = shown_us
            self._in_a_row = 0
            self._market.show(shown_us, at_s)

    def _ignore(self, server_us: int) -> None:
        self.ignored += 1
        self._in_a_row += 1
        self.said_us = server_us
