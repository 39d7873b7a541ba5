"""Signals: what stands out in one minute of one or of several markets."""

from decimal import Decimal
from enum import StrEnum

from market.fields import Count, Name, TimeMs
from market.key import OfMarket


class SignalState(StrEnum):
    """What a signal says of its condition."""

    BEGIN = "begin"
    """It holds from this minute on; told again if it grows more severe."""
    END = "end"
    INFO = "info"
    """A measurement, told at regular times."""


class Severity(StrEnum):
    """How far the condition is beyond its threshold, from least to greatest."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Signal(OfMarket, frozen=True, kw_only=True):
    """A record of `md.signals.v1`, told at the end of a minute of market time."""

    kind: Name
    """A text and no enumeration: a reader passes over kinds that it does not know."""
    state: SignalState
    severity: Severity
    time_ms: TimeMs
    """End of the minute, UTC milliseconds."""
    revision: Count
    """The sum of the revisions of the candles of that minute that it was made from."""
    other: str | None = None
    """The key of the other market, where it is about two."""
    window_minutes: Count
    """How far back it looks."""
    values: dict[str, Decimal]
    """The numbers that it was made from, by name."""
