"""Where symbols go on: the newest usable markers in `md.progress.v1`.

A record may have been written by another program, or with a wrong clock. One that cannot be read or cannot be true
stops nobody: the record before it is used, if compaction has left one. Otherwise the symbol begins as a new one, and
its first event says why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from market.codec import decode_marker, decode_progress
from market.errors import MalformedError
from market.feed import Progress
from market.partition import partition_of
from market.records import Record
from market.trade import numeric_id
from producers.feed.marker_clock import IdReset, Resumption
from producers.feed.market_clock import AHEAD_US
from runtime.kafka import read_to_end
from runtime.settings import Settings
from runtime.telemetry import logger

STAGE = "produce"


@dataclass(frozen=True)
class StoredProgress:
    """By key: the newest usable record, or why there is none although there is a record."""

    resumptions: Mapping[bytes, Resumption] = field(default_factory=dict)
    unusable: Mapping[bytes, str] = field(default_factory=dict)


async def read_progress(
    settings: Settings, keys: Iterable[bytes], now_us: int, *, ids_prove: bool = True
) -> StoredProgress:
    """Read the live progress of these keys, whoever wrote it; `now_us` is our own clock.

    `ids_prove`: their trade ids have to be numbers.
    """
    wanted = set(keys)
    partitions = {partition_of(key, settings.partitions) for key in wanted}
    resumptions: dict[bytes, Resumption] = {}
    wrong: dict[bytes, str] = {}
    async for records in read_to_end(settings, settings.topics.progress, partitions=partitions):
        for record in records:
            if record.key not in wanted:
                continue
            if record.value is None:  # deleted by a person: the symbol begins as a new one
                resumptions.pop(record.key, None)
                wrong.pop(record.key, None)
                continue
            try:
                resumptions[record.key] = usable(record, now_us, ids_prove=ids_prove)
            except MalformedError as error:
                where = f"{record.topic}/{record.partition}/{record.offset}"
                wrong[record.key] = f"the progress record {where} cannot be used: {error}"
                continue
            wrong.pop(record.key, None)
    for key, reason in wrong.items():
        resumption = resumptions.get(key)
        goes_on = f"goes on from the marker of {resumption.marker.complete_until_us}" if resumption else "begins as new"
        logger(STAGE).error("progress cannot be used", key=key.decode(), reason=reason, way_on=goes_on)
    return StoredProgress(resumptions, {key: reason for key, reason in wrong.items() if key not in resumptions})


def usable(record: Record, now_us: int, *, ids_prove: bool) -> Resumption:
    """Where a progress record says to go on from; `MalformedError` if it can't be true."""
    marker = decode_marker(record.headers)
    if marker is None:
        raise MalformedError("there is no marker in its headers")
    if marker.complete_until_us > now_us + AHEAD_US:
        raise MalformedError(f"its minute ends at {marker.complete_until_us} us, and it is {now_us} us now")
    if ids_prove and marker.last_trade_id is not None and numeric_id(marker.last_trade_id) is None:
        raise MalformedError(f"its last trade id {marker.last_trade_id!r} is no number")
    if record.value is None:
        return Resumption(marker)
    progress = decode_progress(record.value)
    last_us = progress.last_trade_us
    if last_us is not None and last_us >= marker.complete_until_us:
        raise MalformedError(f"its last trade is of {last_us} us, behind its minute's end")
    return Resumption(marker, last_us, _reset(progress, now_us) if ids_prove else None)


def _reset(progress: Progress, now_us: int) -> IdReset | None:
    if progress.reset_id is None or progress.reset_us is None:
        return None
    if numeric_id(progress.reset_id) is None:
        raise MalformedError(f"the first id after a reset, {progress.reset_id!r}, is no number")
    if progress.reset_us > now_us + AHEAD_US:
        raise MalformedError(f"the time of a reset is {progress.reset_us} us, and it is {now_us} us now")
    return IdReset(progress.reset_id, progress.reset_us)
