"""What time it is on the exchange, by all that is known. Pure.

Times that the exchange sends, its own clock's and its trades', are evidence. They are held against our own clock:
the market is never ahead of it. And against each other and the monotonic clock: of two messages the second can't be
later by much more than what passed between them. How fast the market runs is learned: a real exchange runs as fast
as we do, a simulated one up to a thousand times faster, in the past.
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
_TOLERANCE_S = 1.0
"""How much a message may have been delayed less than the ones before it, in market time and in ours."""
_MARK_S = 1.0
_MARKS = 30
_FORGET_S = 10.0
"""After such a silence the pace is learned anew: in the long run it isn't exact enough to refuse anything by."""
_PACE_US = 1_000_000.0
"""The slowest pace of a market: ours."""
_HEAL_S = 60.0
"""A clock that jumped, but agrees with ours, is believed after so long."""


class MarketClock:
    """The present of one exchange; `tick` first, then `believes` for what came until then."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        """About one a second: when a time was the greatest that was believed, on our monotonic clock, and it."""
        self._pace_us: float | None = None
        """Market microseconds in a second; None while it is learned."""
        self._anchor = (0.0, 0)
        """The message that was delayed least: the market's present is at least as far as it says."""
        self._before = [(0.0, 0), (0.0, 0)]
        """When the message before came, and its time: the server's own, a trade's."""
        self._newest_us = 0
        self._now_s = self._heard_s = 0.0
        self._moved_s = 0.0
        """When the greatest time that was believed last grew."""
        self._wall_us = self._present_us = 0
        self.limit_us = 0
        """Later times cannot be."""

    def confirms(self, time_us: int) -> bool:
        """Whether more than that it can be speaks for a time: the pace, or that it is ours."""
        return self._pace_us is not None or abs(self._wall_us - time_us) <= AHEAD_US

    def tick(self, now_s: float, wall_us: int) -> None:
        """Time passed: `now_s` on the monotonic clock, `wall_us` on ours."""
        if now_s - self._heard_s > _FORGET_S:
            self.forget()
        if self._newest_us and self._moved_s - (self._marks[-1][0] if self._marks else -_MARK_S) >= _MARK_S:
            self._mark()
        self._now_s, self._wall_us = now_s, wall_us
        self._present_us = 0
        if self._pace_us is not None:
            self._present_us = self._anchor[1] + int(self._pace_us * (now_s - self._anchor[0]))
        self._bound()

    def believes(self, time_us: int, *, of_trade: bool = False) -> bool:
        """Whether it can be that late; if so, and once two messages said it, the present is at least that."""
        self._heard_s = self._now_s
        if time_us > self.limit_us and not self._heals(time_us):
            return False
        before = self._before[of_trade]
        at_s, shown_us = before if time_us > before[1] else (self._now_s, time_us)
        self._before[of_trade] = (self._now_s, time_us)
        if shown_us > self._newest_us:
            self._newest_us, self._moved_s = shown_us, at_s
        if at_s < self._now_s and self._pace_us is not None:
            present_us = shown_us + int(self._pace_us * (self._now_s - at_s))
        else:
            present_us = shown_us
        if present_us > self._present_us:  # delayed less than any before it
            self._present_us = present_us
            self._anchor = (at_s, shown_us)
            self._bound()
        return True

    def is_behind(self, time_us: int, than_us: int) -> bool:
        """Whether a time is so much before one that the same connection carried that no delay explains it."""
        return self._pace_us is not None and time_us < than_us - self._tolerance_us

    def forget(self) -> None:
        """Learn the pace anew: what comes now was not sent right after what came before."""
        self._marks.clear()
        self._pace_us = None
        self._before = [(0.0, 0), (0.0, 0)]
        self._newest_us = self._present_us = 0
        self._heard_s = self._moved_s = self._now_s
        self._bound()

    @property
    def _tolerance_us(self) -> int:
        return _TOLERANCE_US + int(_TOLERANCE_S * (self._pace_us or _PACE_US))

    def _bound(self) -> None:
        self.limit_us = self._wall_us + AHEAD_US
        if self._pace_us is not None:
            self.limit_us = min(self.limit_us, self._present_us + self._tolerance_us)

    def _mark(self) -> None:
        self._marks.append((self._moved_s, self._newest_us))
        (first_s, first_us), (last_s, last_us) = self._marks[0], self._marks[-1]
        if last_s > first_s:
            self._pace_us = pace_us = max(_PACE_US, (last_us - first_us) / (last_s - first_s))
            self._anchor = max(self._marks, key=lambda mark: mark[1] - pace_us * mark[0])

    def _heals(self, time_us: int) -> bool:
        if self._now_s - self._moved_s < _HEAL_S or abs(self._wall_us - time_us) > AHEAD_US:
            return False
        self.forget()
        return True


STEP_US = 2_000_000
"""A connection's time that goes on by more at once has to be said by two messages."""
AWAY_S = 5.0
AWAY_MESSAGES = 3
"""So long, and in so many messages, a clock has to say what cannot be, before it counts as away."""


class Turn(Enum):
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
        self._heard_us = 0
        self._in_a_row = 0
        self._is_contradicted = False
        """Whether the newest trade and the clock beside it said two things."""
        self._since_s: float | None = None

    def hear(self, server_us: int, trade_us: int = 0) -> bool:
        """A message with the server's time, and a trade's if it carries one; False: the trade's time cannot be."""
        if trade_us and server_us and not -EARLY_US <= server_us - trade_us <= LATE_US:
            return self._contradicted(server_us, trade_us)
        if trade_us:
            self._is_contradicted = False
        if server_us:
            self._carry(server_us)
        return trade_us <= self._market.limit_us

    def turn(self, now_s: float) -> Turn | None:
        """Whether the clock went away, or came back, since it was last asked."""
        if not self._in_a_row:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        if self.is_away and not self._in_a_row:
            self.is_away = False
            return Turn.BACK
        lasts = self._since_s is not None and now_s - self._since_s >= AWAY_S
        if lasts and self._in_a_row >= AWAY_MESSAGES and not self.is_away:
            self.is_away = True
            return Turn.AWAY
        return None

    def _contradicted(self, server_us: int, trade_us: int) -> bool:
        """The two times of one message can't both be: whichever goes on as it should is right, else neither."""
        market = self._market
        can_be = server_us <= market.limit_us and not market.is_behind(server_us, self.us)
        if trade_us > market.limit_us or (can_be and trade_us < server_us and market.confirms(server_us)):
            if can_be:
                self._carry(server_us)
            else:
                self._ignore(server_us)
            return False
        self._ignore(server_us)
        market.believes(trade_us, of_trade=True)
        self._is_contradicted = True
        return market.confirms(trade_us)

    def _carry(self, server_us: int) -> None:
        market = self._market
        if (self._is_contradicted and not market.confirms(server_us)) or not market.believes(server_us):
            self._ignore(server_us)
            return
        shown_us = server_us if server_us - self.us <= STEP_US else min(server_us, self._heard_us)
        self._heard_us = server_us
        if shown_us > self.us:
            self.us = shown_us
            self._in_a_row = 0
        elif market.is_behind(server_us, self.us):
            self._ignore(server_us)

    def _ignore(self, server_us: int) -> None:
        self.ignored += 1
        self._in_a_row += 1
        self.said_us = server_us
