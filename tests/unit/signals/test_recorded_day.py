"""What is told of a day that was recorded: few signals, although its price stands still in a third of the minutes."""

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

from many_markets import MINUTE_MS, MarketsLog, candle, told_by

from market.signal import SignalState

DAY = Path(__file__).parents[2] / "data" / "XRPETH-aggTrades-2019-10-11.csv"
MARKET = "binance:XRP-ETH"


def recorded_log() -> MarketsLog:
    """The 1m candles of the day's trades; a minute without any is flat."""
    minutes: dict[int, list[tuple[Decimal, Decimal]]] = {}
    with DAY.open(newline="") as file:
        for row in csv.reader(file):
            minutes.setdefault(int(row[5]) // MINUTE_MS, []).append((Decimal(row[1]), Decimal(row[2])))
    log, close = MarketsLog(), Decimal(0)
    for minute in range(min(minutes), max(minutes) + 1):
        trades = minutes.get(minute, [])
        close = trades[-1][0] if trades else close
        amount = sum(qty for _, qty in trades)
        prices = dict.fromkeys(("open", "high", "low", "close"), str(close))
        fields = {**prices, "volume": str(amount), "quote_volume": str(sum(price * qty for price, qty in trades))}
        value = candle(MARKET, minute, 1, 1, 1, trades=len(trades), **fields)
        log.append(MARKET, value, (minute + 1) * MINUTE_MS + 500)
    return log


def test_a_recorded_day_has_few_signals() -> None:
    begun = Counter(signal.kind for signal in told_by(recorded_log()) if signal.state is SignalState.BEGIN)
    assert begun == {"return_zscore": 1}
