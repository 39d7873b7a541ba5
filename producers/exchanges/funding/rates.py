"""What the readers of funding rates share: texts of exchanges into checked records."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from market.decimals import parse_decimal, parse_sum
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.funding import FundingKind, FundingRate
from market.limits import check_funding_rate

_MAX_TIME_MS = MAX_TIME_US // 1000

Answer = TypeVar("Answer")


def read_answer(decode: Callable[[bytes], Answer], body: bytes, what: str) -> Answer:
    """An answer by its decoder; `MalformedError` says what it is not."""
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedError(f"not {what}: {error}") from error


def make_funding_rate(
    exchange: str,
    symbol: str,
    *,
    time_ms: int,
    rate: str,
    kind: FundingKind,
    next_time_ms: int | None = None,
    mark_price: str = "",
) -> FundingRate:
    """A funding rate, checked; a mark price of no digits or of 0 is none. Raises `MalformedError`."""
    for told_ms in (time_ms, next_time_ms):
        if told_ms is not None and not 0 < told_ms < _MAX_TIME_MS:
            raise MalformedError(f"funding time {told_ms} ms cannot be")
    mark = parse_decimal(mark_price) if mark_price else None
    funding = FundingRate(
        exchange=exchange,
        symbol=symbol,
        time_ms=time_ms,
        rate=parse_sum(rate, signed=True),
        kind=kind,
        next_time_ms=next_time_ms,
        mark_price=mark or None,
    )
    check_funding_rate(funding)
    return funding
