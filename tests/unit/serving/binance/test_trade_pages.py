"""Aggregates are whole, wherever a page of trades ends."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from market.trade import Side, Trade
from serving.binance.trade_pages import first_aggregates, first_trades

PRICES = (1, 1, 2, 2, 2, 3, 1)
"""Of trades that follow each other: four aggregates."""
WHOLE = [(0, 1), (2, 4), (5, 5), (6, 6)]


async def pages(size: int) -> AsyncIterator[list[Trade]]:
    trades = [
        Trade(exchange="binance", symbol="BTC-USDT", trade_id=str(number), price=Decimal(price), qty=Decimal(1),
              side=Side.BUY, time_us=7)
        for number, price in enumerate(PRICES)
    ]  # fmt: skip
    for begin in range(0, len(trades), size):
        yield trades[begin : begin + size]


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("limit", range(1, 6))
async def test_the_first_aggregates_are_whole(size: int, limit: int) -> None:
    told = await first_aggregates(pages(size), limit)
    assert [(each.first_id, each.last_id) for each in told] == WHOLE[:limit]
    assert [int(trade.trade_id) for trade in await first_trades(pages(size), limit)] == list(range(limit))
