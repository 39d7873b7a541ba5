"""Up to when each symbol is complete, from `md.progress.v1`."""

from market.codec import decode_progress
from market.errors import MalformedError
from runtime.errors import CandlewickError
from runtime.kafka import read_to_end
from runtime.settings import Settings


async def newest_markers(settings: Settings) -> dict[str, int]:
    """Key → `complete_until_us` of its newest live marker."""
    newest: dict[str, int] = {}
    async for records in read_to_end(settings, settings.topics.progress):
        for record in records:
            if record.value is None:
                continue
            try:
                progress = decode_progress(record.value)
            except MalformedError as error:
                where = f"{record.topic} partition {record.partition} offset {record.offset}"
                raise CandlewickError(f"{where}: {error}") from error
            if progress.run is None:
                newest[progress.key] = progress.complete_until_us
    return newest
