"""What a question is asked with, as the interface's parameters. Pure."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from market.bar import BarKind

Moment = datetime | int
"""A time (UTC where it names no zone), or UTC milliseconds."""
Parameters = dict[str, Any]
"""Those that are None are not asked with."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_period(exchange: str, symbol: str, from_: Moment | None, until: Moment | None) -> Parameters:
    """A market in a time."""
    return {"exchange": exchange, "symbol": symbol, "from_ms": as_ms(from_), "until_ms": as_ms(until)}


def of_bars(kind: BarKind | str | None, threshold: Decimal | str | int | None) -> Parameters:
    """Which bars. Raises `ValueError` for a kind that there is not, and `ArithmeticError` for what is no number."""
    return {
        "kind": None if kind is None else BarKind(kind).value,
        "threshold": None if threshold is None else f"{Decimal(threshold):f}",
    }


def as_ms(moment: Moment | None) -> int | None:
    """Times within a millisecond count as its beginning."""
    if not isinstance(moment, datetime):
        return moment
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)
