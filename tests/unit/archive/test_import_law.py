"""The law of imports: any files, in any order, grouping and pace, end with the candles of all of them at once."""

import pytest
from import_law import differences
from kline_law import kline_differences

SEEDS = {
    1641: "a row passed over at a file's beginning, and another file that has none there",
    13176: "live minutes whose only price is that of their first marker",
}
"""What each once showed."""


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_that_once_failed(seed: int) -> None:
    assert differences(seed) == []


def test_many_made_up_markets() -> None:
    assert {seed: found for seed in range(300) if (found := differences(seed))} == {}


def test_a_kline_does_not_price_its_own_minute_for_a_file_that_calls_it_quiet() -> None:
    assert kline_differences(598) == []


def test_made_up_markets_with_klines_among_the_files() -> None:
    assert {seed: found for seed in range(200) if (found := kline_differences(seed))} == {}
