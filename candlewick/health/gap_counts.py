"""A symbol's gaps, counted from its feed's events. Pure."""

from dataclasses import dataclass

from market.feed import FeedEventKind


@dataclass
class Gaps:
    """A symbol's gaps, counted by what became of them."""

    open: int = 0
    filled: int = 0
    holes: int = 0
    clock_away: bool = False

    def take(self, kind: FeedEventKind) -> None:
        """Count an event; a hole closes a gap for good."""
        if kind is FeedEventKind.GAP_OPENED:
            self.open += 1
        elif kind is FeedEventKind.GAP_FILLED:
            self.open, self.filled = max(0, self.open - 1), self.filled + 1
        elif kind is FeedEventKind.HOLE:
            self.open, self.holes = max(0, self.open - 1), self.holes + 1
        elif kind is FeedEventKind.CLOCK_AWAY:
            self.clock_away = True
        elif kind in (FeedEventKind.CLOCK_BACK, FeedEventKind.CONNECTED):
            self.clock_away = False
