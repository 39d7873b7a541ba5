"""Amounts as whole numbers of 10^-18, and times in words: the verifier's own arithmetic."""

from datetime import UTC, datetime

SCALE = 18


def parse_amount(text: str, scale: int = SCALE) -> int:
    """A plain decimal text in units of 10^-scale. Raises `ValueError` for more than `scale` fraction digits."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > scale:
        raise ValueError(f"{text} has more than {scale} fraction digits")
    return int(whole + fraction.ljust(scale, "0"))


def plain_amount(number: int, scale: int = SCALE) -> str:
    """`number` units of 10^-scale as plain text without trailing zeros."""
    whole, fraction = divmod(abs(number), 10**scale)
    sign = "-" if number < 0 else ""
    return f"{sign}{whole}.{fraction:0{scale}d}".rstrip("0").rstrip(".")


def trimmed(text: str) -> str:
    """A plain decimal text without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock(time_us: int) -> str:
    """A time in words: ``2026-11-21 02:35`` UTC, with seconds where there are any."""
    moment = datetime.fromtimestamp(time_us / 1e6, UTC)
    return moment.strftime("%Y-%m-%d %H:%M" if time_us % 60_000_000 == 0 else "%Y-%m-%d %H:%M:%S.%f")
