"""Whether a symbol is quiet, or its subscription carries nothing although the exchange acknowledged it. Pure.

A fixed time would be wrong for most symbols: one trades a hundred times a second, another once an hour. So a symbol is
held against its own rate. When it is quiet for much longer than usual, the feed asks the exchange for trades. If there
are some, and the stream still brings none, the subscription is dead.
"""

UNUSUAL = 20.0
"""A silence of so many usual pauses between trades is looked into."""
LEAST_S = 15.0
"""... but none shorter than this."""
UNKNOWN_S = 60.0
"""A symbol whose rate is not known yet is looked into after this time."""
MOST_S = 3600.0
"""The longest time without looking."""
PATIENCE_S = 10.0
"""The stream may bring what REST showed first for so long."""
_WEIGHT = 0.1
"""Of the newest pause, in the mean of all."""


class Silence:
    """One symbol on its connection. All times are on the caller's monotonic clock."""

    __slots__ = ("_at_once", "_heard_s", "_pause_s", "_shown_s", "_since_s", "_wait_s")

    def __init__(self) -> None:
        self._heard_s: float | None = None
        """When the newest trades came."""
        self._at_once = 0
        """How many pauses of 0 between them are not in `_pause_s` yet."""
        self._pause_s: float | None = None
        """The usual pause between two trades; None: not known."""
        self._since_s = 0.0
        """When we last knew that the subscription works, or looked."""
        self._wait_s = UNKNOWN_S
        self._shown_s: float | None = None
        """When REST showed trades that the stream had not brought."""

    def begin(self, now_s: float) -> None:
        """A connection carries the symbol from now on."""
        self._heard_s, self._shown_s = None, None
        self._since_s, self._wait_s = now_s, self._usual_s()

    def hear(self, now_s: float, trades: int = 1) -> None:
        """The stream brought so many trades."""
        if now_s != self._heard_s:
            usual_s = self._mean_s()
            if self._heard_s is not None:
                pause_s = now_s - self._heard_s
                self._pause_s = pause_s if usual_s is None else usual_s + _WEIGHT * (pause_s - usual_s)
            self._heard_s = self._since_s = now_s
            trades -= 1
        self._at_once += trades
        self._shown_s = None
        self._wait_s = 0.0  # worked out when it is asked for

    def is_unusual(self, now_s: float) -> bool:
        """Whether the exchange should be asked for trades now."""
        if now_s - self._since_s < LEAST_S:
            return False
        self._wait_s = self._wait_s or self._usual_s()
        return now_s - self._since_s >= self._wait_s

    def look(self, now_s: float, *, shown: bool) -> None:
        """The exchange was asked; `shown`: it had trades that the stream had not brought."""
        self._since_s, self._wait_s = now_s, min(2 * (self._wait_s or UNKNOWN_S), MOST_S)
        if shown and self._shown_s is None:
            self._shown_s = now_s

    @property
    def is_suspected(self) -> bool:
        """Whether the stream has yet to bring what REST showed."""
        return self._shown_s is not None

    def is_proven(self, now_s: float) -> bool:
        """Whether the subscription is dead."""
        return self._shown_s is not None and now_s - self._shown_s >= PATIENCE_S

    def _usual_s(self) -> float:
        pause_s = self._mean_s()
        return UNKNOWN_S if pause_s is None else min(max(LEAST_S, UNUSUAL * pause_s), MOST_S)

    def _mean_s(self) -> float | None:
        """The usual pause, with those of 0 between trades that came at once; so many at once cost one step."""
        if self._at_once:
            self._pause_s = (self._pause_s or 0.0) * (1 - _WEIGHT) ** self._at_once
            self._at_once = 0
        return self._pause_s
