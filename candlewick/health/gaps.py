"""What became of each symbol's gaps, and whether its exchange's clock is away, from `md.feeds.v1`."""

from collections.abc import Callable
from dataclasses import dataclass

from market.codec import decode_feed_event
from market.feed import FeedEventKind
from runtime.kafka import decoded
from runtime.settings import Settings


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


async def gaps_of(settings: Settings, broken: Callable[[str], None] | None = None) -> dict[str, Gaps]:
    """Key → its gaps, as far back as events are kept; `broken` as in `decoded`."""
    gaps: dict[str, Gaps] = {}
    async for _, event in decoded(settings, settings.topics.feeds, decode_feed_event, broken=broken, wait=False):
        gaps.setdefault(event.key, Gaps()).take(event.event)
    return gaps
