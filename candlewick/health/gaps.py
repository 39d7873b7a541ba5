"""What became of each symbol's gaps, and whether its exchange's clock is away, from `md.feeds.v1`."""

from collections.abc import Callable

from candlewick.health.gap_counts import Gaps
from market.codec import decode_feed_event
from runtime.kafka import decoded
from runtime.settings import Settings


async def gaps_of(settings: Settings, broken: Callable[[str], None] | None = None) -> dict[str, Gaps]:
    """Key → its gaps, as far back as events are kept; `broken` as in `decoded`."""
    gaps: dict[str, Gaps] = {}
    async for _, event in decoded(settings, settings.topics.feeds, decode_feed_event, broken=broken, wait=False):
        gaps.setdefault(event.key, Gaps()).take(event.event)
    return gaps
