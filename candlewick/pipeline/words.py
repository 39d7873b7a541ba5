"""Times in words."""

from datetime import UTC, datetime

_MINUTE_S, _HOUR_S = 60, 3600


def duration(seconds: float) -> str:
    """A time span in words: ``42s``, ``3m 05s``, ``2h 03m``."""
    whole = int(seconds)
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // _HOUR_S}h {whole % _HOUR_S // 60:02d}m"


def clock(time_s: float) -> str:
    """A time of day, UTC: ``02:35:07``."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%H:%M:%S")


def utc_minute(time_us: int) -> str:
    """A time in words, to the minute: ``2026-11-21 02:35 UTC``."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
