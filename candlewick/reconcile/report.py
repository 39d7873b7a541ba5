"""The outcome of a comparison, in words and as JSON values. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from candlewick.reconcile.compare import ComparedSpan, Discrepancy, MarketComparison, MinuteDifference
from market.decimals import plain
from market.utc import utc


@dataclass
class Reconciliation:
    """Markets of one exchange, compared over one span."""

    exchange: str
    span: ComparedSpan
    leaves_out_young: bool = False
    """The span was cut: its newest minutes are too young."""
    is_log_cut: bool = False
    """The candle topic has lost its beginning: candles of old minutes may have been in it."""
    markets: list[MarketComparison] = field(default_factory=list)
    candles: int = 0
    unreadable: int = 0

    @property
    def differing(self) -> int:
        """How many minutes differ."""
        return sum(market.differing for market in self.markets)

    @property
    def compared(self) -> int:
        """How many minutes could be compared."""
        return sum(market.compared for market in self.markets)


def as_json(result: Reconciliation) -> dict[str, Any]:
    """All of it; amounts are plain decimals in strings, times UTC milliseconds."""
    return {
        "exchange": result.exchange,
        "from_ms": result.span.from_ms,
        "until_ms": result.span.until_ms,
        "compared": result.compared,
        "differing": result.differing,
        "notes": list(notes(result)),
        "markets": [_market_json(market) for market in result.markets],
    }


def notes(result: Reconciliation) -> Iterator[str]:
    """What a reader has to know beside the counts, as sentences."""
    if result.leaves_out_young:
        yield "minutes younger than two minutes are left out: an exchange's klines come late"
    for market in result.markets:
        if market.not_given:
            yield (
                f"{market.key}: {result.exchange} gives no klines of the first {_count(market.not_given)}: "
                "they were not compared"
            )
        if market.within_minutes:
            yield f"{market.key}: {market.within_minutes:,} klines open within a minute and were not compared"
    if result.is_log_cut and any(market.counts[Discrepancy.MISSING_HERE] for market in result.markets):
        yield "the candle topic no longer has its beginning: candles that are missing here may have been in it"
    if result.unreadable:
        yield f"{result.unreadable:,} records of the candle topic can't be read and count as missing"


def verdict(result: Reconciliation) -> str:
    """The last line."""
    span = f"{utc(result.span.from_ms * 1000)} until {utc(result.span.until_ms * 1000)}"
    if not result.compared:
        return f"nothing to compare: {result.exchange} gives no klines of {span}"
    expected = sum(market.expected for market in result.markets)
    told = f", {expected:,} of them in candles that are not complete" if expected else ""
    outcome = "NOT the same" if result.differing else "the same"
    return f"{outcome}: {span}: {_count(result.compared)} compared, {result.differing:,} differ{told}"


def detail_rows(market: MarketComparison) -> Iterator[tuple[str, ...]]:
    """Market, minute, what differs, our status, ours, theirs: a row for each named difference, or field of it."""
    for difference in market.named:
        place = (str(market.key), utc(difference.open_ms * 1000))
        status = difference.status.value if difference.status else ""
        if not difference.fields:
            yield *place, difference.kind.value, status, "", ""
        for name, ours, theirs in difference.fields:
            yield *place, name, status, _text(ours), _text(theirs)


def _market_json(market: MarketComparison) -> dict[str, Any]:
    return {
        "symbol": market.key.symbol,
        "same": market.same,
        "quiet": market.quiet,
        "in_neither": market.in_neither,
        "not_given": market.not_given,
        **{_name(kind): count for kind, count in market.counts.items()},
        "expected": market.expected,
        "differences": [_difference_json(difference) for difference in market.named],
        "differences_left_out": market.differing - len(market.named),
        "spans_that_differ": [
            {"from_ms": span.from_ms, "until_ms": span.until_ms} for span in market.spans_that_differ
        ],
    }


def _difference_json(difference: MinuteDifference) -> dict[str, Any]:
    return {
        "open_time_ms": difference.open_ms,
        "kind": _name(difference.kind),
        "status": difference.status,
        "expected": difference.is_expected,
        "fields": {name: {"ours": _value(ours), "theirs": _value(theirs)} for name, ours, theirs in difference.fields},
    }


def _name(kind: Discrepancy) -> str:
    return kind.value.replace(" ", "_")


def _value(value: Decimal | int) -> str | int:
    return plain(value) if isinstance(value, Decimal) else value


def _text(value: Decimal | int) -> str:
    return str(_value(value))


def _count(minutes: int) -> str:
    return f"{minutes:,} minute{'' if minutes == 1 else 's'}"
