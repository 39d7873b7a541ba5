"""Times and ids as several exchanges write them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from producers.simulator.hashing import key_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS, _CYCLE_MS = 400, 146_097 * 86_400_000
"""The calendar repeats after so many years."""


def iso_us(time_ms: int) -> str:
    """``2021-04-17T16:43:30.244000Z``; a time at the limits of 64 bits has a year of more digits, or a negative one."""
    cycles, within_ms = divmod(time_ms, _CYCLE_MS)
    time = _EPOCH + timedelta(milliseconds=within_ms)
    return f"{time.year + cycles * _CYCLE_YEARS:04d}-{time:%m-%dT%H:%M:%S}.{time.microsecond:06d}Z"


def uuid_of(*parts: object) -> str:
    """A UUID that stands for `parts`; the same on every machine."""
    return str(UUID(int=key_of(*parts) << 64 | key_of("low", *parts), version=4))
