"""Funding: what the holders of a perpetual's two sides pay each other, so that its price stays near the spot price."""

from decimal import Decimal
from enum import StrEnum

from market.fields import TimeMs
from market.key import OfMarket


class FundingKind(StrEnum):
    """Whether it was paid."""

    SETTLED = "settled"
    EXPECTED = "expected"
    """What would be paid by what the exchange knows now: it may change until then."""


class FundingRate(OfMarket, frozen=True, kw_only=True):
    """What is paid at `time_ms` for each unit of a position's value; negative: those who are short pay."""

    time_ms: TimeMs
    rate: Decimal
    kind: FundingKind = FundingKind.SETTLED
    next_time_ms: TimeMs | None = None
    """When it is paid the next time; None: not told."""
    mark_price: Decimal | None = None
    """By which positions are valued, in quote units; None: not told."""
