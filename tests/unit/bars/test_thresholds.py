"""The thresholds' file: what it may say, and what is told of what it may not."""

from decimal import Decimal

import pytest

from market.bar import BarKind
from market.key import MarketKey
from processors.bars.thresholds import BarSize, BarThresholds, parse_thresholds
from runtime.errors import UsageError

FILE = """
["okx:*-USDT"]
tick = [500]

["binance:BTC-USDT"]
volume = ["10"]
tick = [1000, "20"]
dollar = ["0.50"]

["binance:*"]
dollar = [1000000]

["*"]
""".replace('["*"]', '["*:*"]\ntick = [7]')


def sizes(text: str) -> list[str]:
    return [str(size) for size in parse_thresholds(FILE, "bars.toml").sizes_of(MarketKey.parse(text))]


def test_a_market_has_the_sizes_of_its_own_table_else_of_the_first_pattern_that_matches() -> None:
    assert sizes("binance:BTC-USDT") == ["dollar 0.5", "tick 20", "tick 1000", "volume 10"]
    assert sizes("binance:ETH-USDT") == ["dollar 1000000"]
    assert sizes("okx:BTC-USDT") == ["tick 500"]
    assert sizes("okx:BTC-USDT-PERP") == ["tick 7"]


def test_a_market_that_no_table_names_has_none() -> None:
    only = parse_thresholds('["a:B+"]\ntick = [1]', "bars.toml")
    assert only.sizes_of(MarketKey("a", "B+")) == (BarSize(BarKind.TICK, Decimal(1)),)
    assert only.sizes_of(MarketKey("a", "BB")) == ()


def test_a_snapshot_brings_the_same_thresholds_back() -> None:
    thresholds = parse_thresholds(FILE, "bars.toml")
    assert BarThresholds.restore(thresholds.snapshot()) == thresholds
    assert thresholds != BarThresholds(dict(reversed(thresholds._tables.items())))  # the order counts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no tables"),
        ("[[", "is no TOML"),
        ("tick = [1]", "tick stands outside of a table"),
        ('["BTC"]\ntick = [1]', "is no market and no pattern"),
        ('["a|b:C"]\ntick = [1]', "ambiguous"),
        ('["a:B"]', "has no thresholds"),
        ('["a:B"]\nticks = [1]', "has ticks: choose tick, volume, dollar"),
        ('["a:B"]\ntick = 1', "is no list"),
        ('["a:B"]\nvolume = [0.5]', 'write the number in quotes, as "0.5"'),
        ('["a:B"]\ntick = [true]', "write the number in quotes"),
        ('["a:B"]\ntick = ["1.5"]', "is whole"),
        ('["a:B"]\nvolume = ["1e5"]', "plain decimal"),
        ('["a:B"]\ndollar = ["0.0"]', "greater than 0"),
        ('["a:B"]\ndollar = [-5]', "plain decimal"),
        ('["a:B"]\ndollar = ["1000000000000000"]', r"below 10\^15"),
        ('["a:B"]\ntick = [1, "1.0"]', "tick 1 more than once"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_table(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        parse_thresholds(text, "bars.toml")
    assert str(raised.value).startswith("bars.toml")
