"""The gaps of an exchange, in words and as JSON values. Pure."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from candlewick.gap_rate.days import DayCounts, Days, EndedHole, HoleEnd, total
from market.utc import utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = 1_000_000
HEADINGS = ("day (UTC)", "symbol", "disconnects", "gaps", "holes", "published", "gap rate")


@dataclass
class GapReport:
    """An exchange's days, and its holes in these days."""

    exchange: str
    first_day: int
    """Number since 1970."""
    days: Days = field(default_factory=dict)
    holes: list[EndedHole] = field(default_factory=list)
    unreadable: int = 0
    """Records of these markets that can't be read, in both topics."""


def as_json(report: GapReport) -> dict[str, Any]:
    """All of it; days are ISO dates, times UTC microseconds, `gap_rate` is `lost` / `published` or null."""
    return {
        "exchange": report.exchange,
        "from_day": day_name(report.first_day),
        "days": [
            {"day": day_name(day), "symbol": _symbol(key), **_counts_json(counts)}
            for (day, key), counts in report.days.items()
        ],
        "total": _counts_json(total(report.days.values())),
        "holes": [_hole_json(hole) for hole in report.holes],
        "unreadable": report.unreadable,
    }


def table_rows(report: GapReport) -> Iterator[tuple[str, ...]]:
    """A row for each day of a market on which something happened, and one for all."""
    for (day, key), counts in report.days.items():
        if not counts.is_clean:
            yield day_name(day), _symbol(key), *_cells(counts)
    yield "total", "", *_cells(total(report.days.values()))


def hole_rows(report: GapReport) -> Iterator[tuple[str, ...]]:
    """Symbol, when, which ids, what became of it, and why."""
    for key, hole, end, _ in report.holes:
        ids = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in hole.ids)
        when = f"{utc(hole.from_us)} to {utc(hole.until_us)}"
        yield _symbol(key), when, ids or "not known", end.value, hole.reason


def notes(report: GapReport) -> Iterator[str]:
    """What a reader has to know beside the counts, as sentences."""
    clean = sum(counts.is_clean for counts in report.days.values())
    if clean:
        yield f"only in the total: {clean:,} days of symbols without any gap or disconnect"
    unknown = sum(not ended.hole.ids and ended.end is not HoleEnd.REPAIRED for ended in report.holes)
    if unknown:
        yield f"{unknown:,} holes do not tell which trades are missing: the gap rate does not count these"
    counts = total(report.days.values())
    if counts.resets or counts.taken_back:
        yield f"ids were reset {counts.resets:,} times, claims were taken back {counts.taken_back:,} times"
    if report.unreadable:
        yield f"{report.unreadable:,} records can't be read and are not counted"


def day_name(day: int) -> str:
    """A day as an ISO date."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def rate_text(counts: DayCounts) -> str:
    """The gap rate in percent, two digits of it."""
    rate = counts.gap_rate
    if rate is None:
        return ""
    return f"{float(f'{rate * 100:.2g}'):.10f}".rstrip("0").rstrip(".") + " %" if rate else "0"


def _cells(counts: DayCounts) -> tuple[str, ...]:
    disconnects = f"{counts.disconnects:,}" if counts.disconnects else ""
    return disconnects, _gaps_text(counts), _holes_text(counts), f"{counts.published:,}", rate_text(counts)


def _gaps_text(counts: DayCounts) -> str:
    """Such as ``3, 41 trades missing: 2 filled (38 trades), 1 in holes``."""
    if not counts.gaps:
        return ""
    ends = (
        (counts.gaps_filled, f"filled ({_trades(counts.filled)})"),
        (counts.gaps_in_holes, "in holes"),
        (counts.gaps_open, "open"),
    )
    told = ", ".join(f"{number:,} {word}" for number, word in ends if number)
    return f"{counts.gaps:,}, {_trades(counts.missing)} missing: {told}"


def _holes_text(counts: DayCounts) -> str:
    """Such as ``2, 1 repaired: 3 trades lost in 2 minutes, 61.2 s uncovered``."""
    left = counts.holes - counts.holes_repaired
    told = f"{counts.holes:,}" if counts.holes else ""
    told += f", {counts.holes_repaired:,} repaired" if counts.holes_repaired else ""
    if left or counts.hole_minutes:  # a hole of the day before may reach into this one
        minutes = f"{counts.hole_minutes:,} minute{'' if counts.hole_minutes == 1 else 's'}"
        lasting = f"{_trades(counts.lost)} lost in {minutes}, {counts.uncovered_us / _US:,.1f} s uncovered"
        told = f"{told}: {lasting}" if told else lasting
    return told


def _trades(number: int) -> str:
    return f"{number:,} trade{'' if number == 1 else 's'}"


def _counts_json(counts: DayCounts) -> dict[str, Any]:
    named = asdict(counts)
    uncovered_us = named.pop("uncovered_us")
    return {**named, "uncovered_s": uncovered_us / _US, "gap_rate": counts.gap_rate}


def _hole_json(ended: EndedHole) -> dict[str, Any]:
    hole = ended.hole
    return {
        "symbol": _symbol(ended.key),
        "from_us": hole.from_us,
        "until_us": hole.until_us,
        "ids": [{"first": str(first), "last": str(last)} for first, last in hole.ids],
        "reason": hole.reason,
        "end": ended.end,
        "lost": ended.lost,
    }


def _symbol(key: str) -> str:
    return key.partition(":")[2]
