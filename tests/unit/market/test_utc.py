"""Times as text."""

import pytest

from market.utc import time_of_day, utc

AT = 1_610_064_000_000_000


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00Z"),
        (AT, "2021-01-08T00:00Z"),
        (AT + 61_000_000, "2021-01-08T00:01:01Z"),
        (AT + 250, "2021-01-08T00:00:00.000250Z"),
        (AT - 1, "2021-01-07T23:59:59.999999Z"),
    ],
)
def test_a_time_has_no_more_digits_than_it_needs(time_us: int, text: str) -> None:
    assert utc(time_us) == text


def test_a_time_of_day_has_seconds() -> None:
    assert time_of_day(AT + 61_999_999) == "00:01:01"
