"""Which parts of a range are asked for, by the funding rates that the log has."""

import pytest

from market.timeframe import HOUR_MS
from producers.backfill.funding import FundingSpan, spans_to_ask

SPAN = (0, 100)


def hours(*spans: tuple[int, int]) -> list[FundingSpan]:
    return [FundingSpan(from_h * HOUR_MS, until_h * HOUR_MS) for from_h, until_h in spans]


def asked(*known_h: int, span: tuple[int, int] = SPAN) -> list[tuple[float, float]]:
    parts = spans_to_ask([hour * HOUR_MS for hour in known_h], hours(span)[0])
    return [(round(part.from_ms / HOUR_MS, 3), round(part.until_ms / HOUR_MS, 3)) for part in parts]


@pytest.mark.parametrize(
    ("known_h", "parts"),
    [
        ((), [(0, 100)]),
        ((48,), [(0, 48), (48, 100)]),
        ((48, 56), [(0, 48), (48, 56), (56, 100)]),  # nothing shows that they are neighbours
        ((48, 56, 64, 72), [(0, 48), (72, 100)]),
        ((8, 16, 24, 72, 80, 88), [(0, 8), (24, 72), (88, 100)]),
        ((8, 16, 24, 32, 33, 34, 36, 37), [(0, 8), (24, 32), (34, 36), (37, 100)]),
        ((-16, -8, 0, 8, 16), [(16, 100)]),
        ((88, 96, 104, 112), [(0, 88)]),
        ((-8, 0, 8, 104, 112), [(8, 100)]),
    ],
)
def test_what_stands_at_equal_distances_is_not_asked_for(
    known_h: tuple[int, ...], parts: list[tuple[float, float]]
) -> None:
    assert asked(*known_h) == parts


def test_a_range_that_is_known_is_not_asked_for() -> None:
    assert asked(0, 8, 16, 24, 32, span=(1, 20)) == []
