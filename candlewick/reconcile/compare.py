"""A market's candles compared with the klines that its exchange gives: which minutes differ, and how. Pure.

What happens with a minute, by what both sides have of it:

| here | there | |
|---|---|---|
| candle | kline | `same`, or `DIFFERS` with the fields |
| candle with trades | nothing | `MISSING_THERE` |
| candle without trades | nothing | `quiet`: some exchanges give nothing for minutes without trades |
| nothing | kline | `MISSING_HERE` |
| nothing | nothing | `in_neither` |
| anything | before its first kline | `not_given`: its history does not reach back so far |

Compared are only the fields that the exchange gives. The status of a candle is no field of a kline: where it is less
than `complete`, a difference is `expected`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import StrEnum
from typing import NamedTuple

from market.candle import Candle, Status
from market.decimals import EXACT
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.timeframe import MINUTE_MS

MAX_NAMED = 1_000
"""At most so many differences of a market are named; all are counted, and all are in `spans_that_differ`."""
_PRICES, _COUNT = ("open", "high", "low", "close"), "trades"
_VOLUMES, _TURNOVERS = ("volume", "taker_buy_volume"), ("quote_volume", "taker_buy_quote_volume")
FIELDS = (*_PRICES, *_VOLUMES, *_TURNOVERS, _COUNT)
"""The fields of a `GivenCandle` that are compared."""
_ROUNDED_PLACES = 8
"""Exchanges that give so many places behind the point have no more of them."""
_FLOAT_DIGITS = (16, 17)
"""So many digits has a binary float that is no short decimal."""
_SURE_DIGITS = 14
"""Adding up floats leaves so many digits right."""


class Discrepancy(StrEnum):
    """How a minute differs."""

    MISSING_HERE = "missing here"
    MISSING_THERE = "missing there"
    DIFFERS = "differs"


class ComparedSpan(NamedTuple):
    """The whole minutes from `from_ms` until `until_ms`, UTC milliseconds."""

    from_ms: int
    until_ms: int

    @property
    def minutes(self) -> range:
        """The open times of the minutes."""
        return range(self.from_ms, self.until_ms, MINUTE_MS)


class FieldDifference(NamedTuple):
    """A field that both sides have, with two values."""

    name: str
    ours: Decimal | int
    theirs: Decimal | int


class MinuteDifference(NamedTuple):
    """A minute that differs; `fields` if both sides have it."""

    open_ms: int
    kind: Discrepancy
    status: Status | None
    """Our candle's; None: there is none."""
    fields: tuple[FieldDifference, ...] = ()

    @property
    def is_expected(self) -> bool:
        """Our candle itself says that trades may be missing."""
        return self.status is not None and self.status is not Status.COMPLETE


@dataclass
class MarketComparison:
    """A market's minutes, each counted once."""

    key: MarketKey
    span: ComparedSpan
    same: int = 0
    quiet: int = 0
    in_neither: int = 0
    not_given: int = 0
    """Minutes before the exchange's first kline; all minutes if it gives none."""
    within_minutes: int = 0
    """Klines that open within a minute and cannot be compared: Binance gave such ones in February 2018."""
    expected: int = 0
    """Minutes that differ, and whose candle is less than `complete`."""
    counts: dict[Discrepancy, int] = field(default_factory=lambda: dict.fromkeys(Discrepancy, 0))
    named: list[MinuteDifference] = field(default_factory=list)
    """The first `MAX_NAMED` minutes that differ."""
    spans_that_differ: list[ComparedSpan] = field(default_factory=list)
    """All minutes that differ, as ranges: their trades would have to be fetched again."""

    @property
    def differing(self) -> int:
        """How many minutes differ."""
        return sum(self.counts.values())

    @property
    def compared(self) -> int:
        """How many minutes at least one side has, as far as the exchange's history reaches."""
        return self.same + self.quiet + self.differing

    def add(self, difference: MinuteDifference) -> None:
        """Count a minute that differs; minutes come in order."""
        self.counts[difference.kind] += 1
        self.expected += difference.is_expected
        if len(self.named) < MAX_NAMED:
            self.named.append(difference)
        until_ms = difference.open_ms + MINUTE_MS
        if self.spans_that_differ and self.spans_that_differ[-1].until_ms == difference.open_ms:
            self.spans_that_differ[-1] = self.spans_that_differ[-1]._replace(until_ms=until_ms)
        else:
            self.spans_that_differ.append(ComparedSpan(difference.open_ms, until_ms))


def compare_market(
    key: MarketKey,
    span: ComparedSpan,
    ours: Mapping[int, Candle],
    theirs: Iterable[GivenCandle],
    fields: Sequence[str] = FIELDS,
) -> MarketComparison:
    """Compare the minutes of `span`; `ours` has a candle by its open time in milliseconds.

    `theirs` may have klines outside the span. One before it shows that the exchange's history reaches back to the span.
    """
    given = {kline.open_time_ms: kline for kline in theirs}
    comparison = MarketComparison(key, span, within_minutes=sum(open_ms % MINUTE_MS > 0 for open_ms in given))
    history_from_ms = min(given, default=span.until_ms)
    for open_ms in span.minutes:
        candle, kline = ours.get(open_ms), given.get(open_ms)
        if open_ms < history_from_ms:
            comparison.not_given += 1
        elif candle is None and kline is None:
            comparison.in_neither += 1
        elif candle is None:
            comparison.add(MinuteDifference(open_ms, Discrepancy.MISSING_HERE, None))
        elif kline is None and not candle.trades:
            comparison.quiet += 1
        elif kline is None:
            comparison.add(MinuteDifference(open_ms, Discrepancy.MISSING_THERE, candle.status))
        elif differing := tuple(_differing(candle, kline, fields)):
            comparison.add(MinuteDifference(open_ms, Discrepancy.DIFFERS, candle.status, differing))
        else:
            comparison.same += 1
    return comparison


def comparable_fields(*, counts_trades: bool) -> tuple[str, ...]:
    """The fields to compare; `counts_trades`: the exchange counts trades as we do."""
    return tuple(name for name in FIELDS if counts_trades or name != _COUNT)


def _differing(candle: Candle, kline: GivenCandle, fields: Sequence[str]) -> Iterator[FieldDifference]:
    for name in fields:
        ours, theirs = getattr(candle, name), getattr(kline, name)
        if theirs is None or ours == theirs:
            continue
        if name in _TURNOVERS and _is_rounded(ours, theirs, candle.trades):
            continue
        if name in (*_TURNOVERS, *_VOLUMES) and _is_noise(ours, theirs):
            continue
        yield FieldDifference(name, ours, theirs)


def _is_rounded(ours: Decimal, theirs: Decimal, trades: int) -> bool:
    """Whether a turnover differs only because the exchange rounds.

    Price times size may have more places than the exchange gives (ETH-BTC on Binance: nine, given are eight). It may
    round the turnover of every single trade.
    """
    places = _places(theirs)
    if places < _ROUNDED_PLACES or _places(ours) <= places:
        return False
    return abs(EXACT.subtract(ours, theirs)) <= EXACT.multiply(Decimal(trades), Decimal((0, (1,), -places)))


def _is_noise(ours: Decimal, theirs: Decimal) -> bool:
    """Whether a sum differs only because the exchange adds up floats: ``14.697630010000001`` for ``14.69763001``."""
    digits = len(theirs.as_tuple().digits)
    right = max(_SURE_DIGITS, len(ours.as_tuple().digits))
    return digits in _FLOAT_DIGITS and Context(prec=right).plus(theirs) == ours


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
