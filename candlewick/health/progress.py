"""Up to when each symbol is complete, from `md.progress.v1`."""

from collections.abc import Callable

from market.codec import decode_progress
from runtime.kafka import decoded
from runtime.settings import Settings


async def newest_markers(settings: Settings, broken: Callable[[str], None] | None = None) -> dict[str, int]:
    """Key → `complete_until_us` of its newest live marker; `broken` as in `decoded`."""
    newest: dict[str, int] = {}
    async for _, progress in decoded(settings, settings.topics.progress, decode_progress, broken=broken, wait=False):
        if progress.run is None:
            newest[progress.key] = progress.complete_until_us
    return newest
