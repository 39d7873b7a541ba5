"""Which names are like the one that nobody has."""

import pytest

from market.key import MarketKey
from serving.markets import nearest_markets

HELD = [
    MarketKey("binance", "BTC-USDT"),
    MarketKey("binance", "BTC-USDC"),
    MarketKey("binance", "ETH-USDT"),
    MarketKey("binance", "币安人生-USDT"),
    MarketKey("okx", "SOL-USDT"),
]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("binance:BTCUSDT", "binance:BTC-USDT"),
        ("binance:btc-usdt", "binance:BTC-USDT"),
        ("binance:BTC/USDC", "binance:BTC-USDC"),
        ("binance:ETH-USTD", "binance:ETH-USDT"),
        ("Binance:BTC-USDT", "binance:BTC-USDT"),
        ("okex:SOL-USDT", "okx:SOL-USDT"),
    ],
)
def test_the_nearest_name_comes_first(asked: str, first: str) -> None:
    assert str(nearest_markets(MarketKey.parse(asked), HELD)[0]) == first


def test_where_the_exchange_is_held_only_its_markets_are_named() -> None:
    assert {market.exchange for market in nearest_markets(MarketKey("okx", "BTC-USDT"), HELD)} <= {"okx"}


def test_no_name_is_like_one_that_is_like_none_and_at_most_three_are_given() -> None:
    assert nearest_markets(MarketKey("binance", "QQQQQQ"), HELD) == []
    assert nearest_markets(MarketKey("binance", "BTCUSDT"), []) == []
    many = [MarketKey("binance", f"A{number}-USDT") for number in range(20)]
    assert len(nearest_markets(MarketKey("binance", "A-USDT"), many)) == 3
