"""Trades folded in parts against the same trades folded one by one."""

from collections import defaultdict
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import MINUTE_OPEN_US, usual_amounts

from market.candle import Fold
from market.codec import encode_trade
from market.columns import TradeReader
from market.timeframe import MINUTE_US, minute_us
from market.trade import Side, Trade
from processors.candles.batch_fold import fold_batch

SYMBOLS = ["A-USD", "B-USD", "C-USD"]

small = st.builds(
    lambda price, qty: {"price": Decimal(price).scaleb(-2), "qty": Decimal(qty).scaleb(-2)},
    st.integers(1, 10**6),
    st.integers(1, 10**6),
)
made = st.builds(
    lambda symbol, number, minute, amounts, side, jitter: Trade(
        exchange="x",
        symbol=symbol,
        trade_id=str(number),
        **amounts,
        side=side,
        time_us=MINUTE_OPEN_US + minute * MINUTE_US + number * 1000 + jitter,
        received_us=MINUTE_OPEN_US,
    ),
    st.sampled_from(SYMBOLS),
    st.integers(1, 40),
    st.integers(0, 3),
    small | usual_amounts(),
    st.sampled_from(Side),
    st.integers(0, 3000),
)


@settings(deadline=None, max_examples=200)
@given(trades=st.lists(made, min_size=1, max_size=120), in_order=st.booleans())
def test_many_at_once_make_the_same_folds(trades: list[Trade], *, in_order: bool) -> None:
    copies = {(trade.symbol, minute_us(trade.time_us), trade.trade_id): trade for trade in trades}
    trades = [copies[trade.symbol, minute_us(trade.time_us), trade.trade_id] for trade in trades]
    if in_order:
        trades.sort(key=lambda trade: int(trade.trade_id))
    one_by_one: dict[tuple[str, int], Fold] = defaultdict(Fold)
    for trade in trades:
        one_by_one[trade.symbol, minute_us(trade.time_us)].add(trade)
    reader = TradeReader()
    by_symbol = {symbol: reader.add("x", symbol) for symbol in SYMBOLS}
    symbols = np.array([by_symbol[trade.symbol] for trade in trades], np.int64)
    columns = reader.read([encode_trade(trade) for trade in trades], symbols)
    assert columns.valid.all()
    at_once: dict[tuple[str, int], Fold] = defaultdict(Fold)
    for symbol, open_us, partial, places in fold_batch(columns, symbols):
        assert {trades[place].symbol for place in places} == {SYMBOLS[symbol]}
        assert at_once[SYMBOLS[symbol], open_us].add_partial(partial)
        assert not at_once[SYMBOLS[symbol], open_us].add_partial(partial)
    assert {place: fold.snapshot() for place, fold in at_once.items()} == {
        place: fold.snapshot() for place, fold in one_by_one.items()
    }
