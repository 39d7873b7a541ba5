"""Times as a person reads and writes them."""

from datetime import UTC, datetime

_MINUTE_US, _SECOND_US = 60_000_000, 1_000_000


def utc(time_us: int) -> str:
    """UTC microseconds as text: ``2021-01-08T10:01Z``, with seconds and their parts if not zero."""
    time = datetime.fromtimestamp(time_us // _SECOND_US, UTC).replace(microsecond=time_us % _SECOND_US, tzinfo=None)
    exact = "minutes" if time_us % _MINUTE_US == 0 else "seconds" if time_us % _SECOND_US == 0 else "microseconds"
    return f"{time.isoformat(timespec=exact)}Z"


def time_of_day(time_us: int) -> str:
    """UTC microseconds as ``10:01:05``, for what happened just now."""
    return f"{datetime.fromtimestamp(time_us // _SECOND_US, UTC):%H:%M:%S}"
