"""Which candles are asked for by those who know nothing of missing ones, and what they get. Pure."""

from dataclasses import dataclass, field

from market.key import MarketKey
from market.timeframe import Timeframe
from serving.lengths import CandleLength
from serving.planner import SourcedCandle, SpanMs, Tier

PARTS = [CandleLength.of(timeframe) for timeframe in (Timeframe.D1, Timeframe.H1, Timeframe.M1)]
"""What an open candle is made of: the longest first."""


@dataclass(frozen=True, kw_only=True)
class PresentQuestion:
    """Candles that open in [from_ms, until_ms): the first ones, or the last ones, at most `limit`."""

    market: MarketKey
    length: CandleLength
    from_ms: int = 0
    until_ms: int | None = None
    limit: int
    is_last: bool


@dataclass(kw_only=True)
class PresentCandles:
    """Candles by open time, in order."""

    length: CandleLength
    candles: dict[int, SourcedCandle] = field(default_factory=dict)
    away: set[Tier] = field(default_factory=set)

    @property
    def expected(self) -> int:
        """How many there would be from the first to the last, if none were missing."""
        opens = list(self.candles)
        return self.length.windows_in(opens[0], self.length.end_ms(opens[-1])) if opens else 0


def parts_of(span: SpanMs) -> list[tuple[CandleLength, SpanMs]]:
    """Whole minutes as days, hours and minutes, as few as there can be, in order."""
    parts: list[tuple[CandleLength, SpanMs]] = []
    time_ms = span.from_ms
    while time_ms < span.until_ms:
        length = next(
            length for length in PARTS if length.open_ms(time_ms) == time_ms and length.end_ms(time_ms) <= span.until_ms
        )
        begin_ms = parts.pop()[1].from_ms if parts and parts[-1][0] == length else time_ms
        time_ms = length.end_ms(time_ms)
        parts.append((length, SpanMs(begin_ms, time_ms)))
    return parts
