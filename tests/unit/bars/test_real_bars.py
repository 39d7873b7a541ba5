"""Bars of 2,001 real trades of Binance, as plain fractions over the file's text give them."""

import csv
import random

from bar_log import expected_bars, fractions_of, new_core, of_market
from dumps import BTC
from market_log import MINUTE, Log

from market.decimals import parse_decimal
from market.trade import Proof, Side, Trade
from processors.bars.thresholds import parse_thresholds

KEY = "binance:BTC-USDT"
FILE = """
["binance:*"]
tick = [1, 100, 1999]
volume = ["0.05", "10"]
dollar = ["1000", "100000", "1000000.5"]
"""


def trades() -> list[Trade]:
    with BTC.open(newline="") as rows:
        return [
            Trade(
                exchange="binance",
                symbol="BTC-USDT",
                trade_id=number,
                price=parse_decimal(price),
                qty=parse_decimal(qty),
                side=Side.SELL if maker == "True" else Side.BUY,
                time_us=int(time_ms) * 1000,
            )
            for number, price, qty, _, time_ms, maker, _ in csv.reader(rows)
        ]


def test_bars_of_real_trades_are_exact_in_any_order_and_twice() -> None:
    real = trades()
    begin_us = real[0].time_us // MINUTE * MINUTE
    log = Log(now_ms=begin_us // 1000)
    log.marker(KEY, begin_us, Proof.BEGIN)
    for trade in random.Random(1).sample(real * 2, 2 * len(real)):
        log.trade(trade)
    log.marker(KEY, begin_us + MINUTE)
    thresholds = parse_thresholds(FILE, "bars.toml")
    bars = new_core(thresholds).process(log.records).bars
    ordered = sorted(real, key=lambda trade: (trade.time_us, int(trade.trade_id)))
    for size in thresholds.sizes_of(real[0].market):
        own = of_market(bars, KEY, size)
        assert [fractions_of(bar) for bar in own] == expected_bars(ordered, size) != []
