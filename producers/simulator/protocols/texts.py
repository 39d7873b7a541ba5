"""Times and ids as several exchanges write them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from market.timeframe import SECOND_MS
from producers.simulator.hashing import key_of, mix

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_YEARS, _CYCLE_S = 400, 146_097 * 86_400
"""The calendar repeats after so many years."""
_KEPT = 16_384


def iso_us(time_ms: int) -> str:
    """``2021-04-17T16:43:30.244000Z``; a time at the limits of 64 bits has a year of more digits, or a negative one."""
    second, within_ms = divmod(time_ms, SECOND_MS)
    return f"{_iso_s(second)}.{within_ms:03d}000Z"


def uuid_of(kind: str, market: str, *numbers: int) -> str:
    """A UUID of version 4 that stands for a thing of a market; the same on every machine."""
    high = _key(kind, market)
    for number in numbers:
        high = mix(high ^ number)
    text = f"{high:016x}{mix(high):016x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


@lru_cache(_KEPT)
def _iso_s(second: int) -> str:
    cycles, within_s = divmod(second, _CYCLE_S)
    time = _EPOCH + timedelta(seconds=within_s)
    return f"{time.year + cycles * _CYCLE_YEARS:04d}-{time:%m-%dT%H:%M:%S}"


@lru_cache(_KEPT)
def _key(kind: str, market: str) -> int:
    return key_of("uuid", kind, market)
