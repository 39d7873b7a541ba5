"""Signals: candles a CPU-second through the whole core, memory, and false alarms in a quiet month.

A quiet market: log prices walk by normal steps of 5 bp a minute, the same on all exchanges of a symbol but for 0.2 bp;
volumes are log-normal (sigma 0.5), independent of one another. Whatever is told of it, but for the regular
correlations, is a false alarm. Kafka is not part of it.
"""

import argparse
import json
import math
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from report import write

from market.candle import Candle, Status
from market.codec import encode_candle
from market.decimals import parse_decimal
from market.key import MarketKey
from market.partition import partition_of
from market.signal import Signal, SignalState
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from processors.signals.core import SignalCore
from processors.signals.rules import SignalRules

PARTITIONS = 12
EXCHANGES = ("binance", "kraken", "okx")
FIRST = 1_700_006_400_000 // DAY_MS * DAY_MS // MINUTE_MS
STEP = 5e-4
BETWEEN_EXCHANGES = 2e-5
VOLUME_SIGMA = 0.5


class BenchRecord(NamedTuple):
    """A record as the core sees it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class QuietMarket:
    """The candles of one exchange's symbol."""

    def __init__(self, key: MarketKey, at: random.Random) -> None:
        self.key = key
        self.bytes = str(key).encode()
        self.partition = partition_of(self.bytes, PARTITIONS)
        self._volume = at.uniform(1, 1000)

    def candle(self, minute: int, price: float, offset: int, at: random.Random) -> bytes:
        """Of one minute; it opens where it closes."""
        close = parse_decimal(f"{price * math.exp(at.gauss(0, BETWEEN_EXCHANGES)):.6f}")
        volume = self._volume * math.exp(at.gauss(0, VOLUME_SIGMA))
        exact = parse_decimal(f"{volume:.6f}")
        return encode_candle(
            Candle(
                exchange=self.key.exchange, symbol=self.key.symbol, timeframe=Timeframe.M1,
                open_time_ms=minute * MINUTE_MS, close_time_ms=(minute + 1) * MINUTE_MS - 1,
                open=close, high=close, low=close, close=close, volume=exact,
                quote_volume=parse_decimal(f"{price * volume:.6f}"), trades=50, taker_buy_volume=exact,
                taker_buy_quote_volume=exact, first_trade_id="1", last_trade_id="50", revision=offset,
                status=Status.COMPLETE,
            )
        )  # fmt: skip


def quiet_minutes(markets: int, minutes: int, seed: int) -> Iterator[list[tuple[int, BenchRecord]]]:
    """Of each minute the records with their partitions, in the order of the log."""
    at = random.Random(seed)
    symbols = [f"C{number}-USDT" for number in range(markets // len(EXCHANGES))]
    prices = {symbol: at.uniform(1, 1000) for symbol in symbols}
    every = [QuietMarket(MarketKey(exchange, symbol), at) for symbol in symbols for exchange in EXCHANGES]
    offset = 0
    for minute in range(FIRST, FIRST + minutes):
        for symbol in symbols:
            prices[symbol] *= math.exp(at.gauss(0, STEP))
        records = []
        for market in every:
            offset += 1
            value = market.candle(minute, prices[market.key.symbol], offset, at)
            appended_ms = (minute + 1) * MINUTE_MS + 500
            records.append((market.partition, BenchRecord(offset, appended_ms, market.bytes, value)))
        yield records


def measure(markets: int, minutes: int, seed: int) -> tuple[float, int, list[Signal]]:
    """CPU-seconds in the core, candles, signals; making the candles is not counted."""
    core, signals, spent_s, candles = SignalCore(SignalRules(), PARTITIONS), list[Signal](), 0.0, 0
    for records in quiet_minutes(markets, minutes, seed):
        candles += len(records)
        began_s = time.process_time()
        for partition, record in records:
            signals += core.pass_time(record.timestamp)
            signals += core.take(record, partition, record.timestamp)
        spent_s += time.process_time() - began_s
    return spent_s, candles, signals


def main() -> None:
    """Print the figures, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=300, help="a multiple of 3: each symbol is on three exchanges")
    parser.add_argument("--minutes", type=int, default=1800, help="of the measurement of speed")
    parser.add_argument("--month-markets", type=int, default=9, help="of the quiet month; 0: leave it out")
    parser.add_argument("--month-days", type=int, default=30)
    parser.add_argument("--keep", action="store_true", help="write results/signals.json")
    asked = parser.parse_args()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent_s, candles, _ = measure(asked.markets, asked.minutes, seed=1)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    figures: dict[str, object] = {
        "markets": asked.markets,
        "minutes": asked.minutes,
        "candles_per_cpu_s": round(candles / spent_s),
        "cpu_us_per_candle": round(spent_s / candles * 1e6, 1),
        "memory_kb_per_market": round(grown_kb / asked.markets),
    }
    if asked.month_markets:
        _, _, signals = measure(asked.month_markets, asked.month_days * 1440, seed=2)
        begun = Counter(signal.kind for signal in signals if signal.state is SignalState.BEGIN)
        symbol_days = asked.month_markets * asked.month_days
        figures["quiet_symbol_days"] = symbol_days
        figures["false_alarms"] = dict(begun)
        figures["false_alarms_per_symbol_day"] = round(begun.total() / symbol_days, 4)
    print(json.dumps(figures, indent=2))
    if asked.keep:
        write("signals", figures)


if __name__ == "__main__":
    main()
