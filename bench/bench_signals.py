"""Signals: candles a CPU-second through the whole core, memory, and what is told of quiet and of recorded markets.

A quiet market: log prices walk by normal steps of 5 bp a minute, the same on all exchanges of a symbol but for 0.2 bp;
volumes are log-normal (sigma 0.5), independent of one another. Whatever is told of it, but for the regular
correlations, is a false alarm. Of recorded markets nobody knows what was one: there it is how often a signal begins.
Kafka is not part of it.
"""

import argparse
import math
import random
import resource
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from peers import ROOT
from recorded_minutes import (
    PARTITIONS,
    BenchMinute,
    BenchRecord,
    read_agg_trades,
    read_candle_file,
    read_markets,
    record_of,
    side_by_side,
)
from report import figure, write

from market.decimals import parse_decimal
from market.key import MarketKey
from market.signal import Signal, SignalState
from market.timeframe import DAY_MS, MINUTE_MS
from processors.signals.core import SignalCore
from processors.signals.rules import SignalRules, rules_of

EXCHANGES = ("binance", "kraken", "okx")
FIRST = 1_700_006_400_000 // DAY_MS * DAY_MS // MINUTE_MS
STEP = 5e-4
BETWEEN_EXCHANGES = 2e-5
VOLUME_SIGMA = 0.5
DAY_MINUTES = DAY_MS // MINUTE_MS
RECORDED_DAY = f"binance:XRP-ETH={ROOT / 'tests' / 'data' / 'XRPETH-aggTrades-2019-10-11.csv'}"
Minute = Iterable[tuple[int, BenchRecord]]


class QuietMarket:
    """The candles of one exchange's symbol."""

    def __init__(self, key: MarketKey, at: random.Random) -> None:
        self.key = key
        self._volume = at.uniform(1, 1000)

    def minute(self, price: float, at: random.Random) -> BenchMinute:
        """One of them."""
        close = parse_decimal(f"{price * math.exp(at.gauss(0, BETWEEN_EXCHANGES)):.6f}")
        volume = self._volume * math.exp(at.gauss(0, VOLUME_SIGMA))
        return BenchMinute(close, parse_decimal(f"{volume:.6f}"), parse_decimal(f"{price * volume:.6f}"), 50)


def quiet_minutes(markets: int, minutes: int, seed: int) -> Iterator[Minute]:
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
            records.append(record_of(market.key, minute, market.minute(prices[market.key.symbol], at), offset))
        yield records


def measure(minutes: Iterable[Minute], rules: SignalRules) -> tuple[float, int, list[Signal]]:
    """CPU-seconds in the core, candles, signals; making the candles is not counted."""
    core, signals, spent_s, candles = SignalCore(rules, PARTITIONS), list[Signal](), 0.0, 0
    for records in minutes:
        began_s = time.process_time()
        for partition, record in records:
            candles += 1
            signals += core.pass_time(record.timestamp)
            signals += core.take(record, partition, record.timestamp)
        spent_s += time.process_time() - began_s
    return spent_s, candles, signals


def speed(markets: int, minutes: int) -> list[dict[str, Any]]:
    """Of many quiet markets."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent_s, candles, _ = measure(quiet_minutes(markets, minutes, seed=1), SignalRules())
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    return [
        figure(f"{markets} markets: candles through the core", "candles/CPU-s", [candles / spent_s]),
        figure(f"{markets} markets: memory", "KB/market", [grown_kb / markets]),
    ]


def begun(of: str, minutes: Iterable[Minute], rules: SignalRules) -> list[dict[str, Any]]:
    """How often conditions begin: in all, by kind, and the warnings and worse."""
    _, candles, signals = measure(minutes, rules)
    begins = [signal for signal in signals if signal.state is SignalState.BEGIN]
    days = candles / DAY_MINUTES
    counts = {"all kinds": len(begins), **Counter(sorted(signal.kind for signal in begins))}
    counts["warnings and worse"] = sum(signal.severity.value != "info" for signal in begins)
    return [
        figure(f"{of} ({days:.0f} symbol-days): {name}", "begun/100 symbol-days", [100 * count / days])
        for name, count in counts.items()
    ]


def recorded(trades: Sequence[str], candles: Sequence[str], rules: SignalRules) -> list[dict[str, Any]]:
    """Each market alone, and the candles' markets side by side, where exchanges are compared too."""
    markets = read_markets(candles, read_candle_file)
    alone = {**read_markets(trades, read_agg_trades), **markets}
    figures = [one for key, minutes in alone.items() for one in begun(str(key), side_by_side({key: minutes}), rules)]
    return figures + (begun("side by side", side_by_side(markets), rules) if len(markets) > 1 else [])


def main() -> None:
    """Print the figures, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=300, help="a multiple of 3: each symbol is on three exchanges")
    parser.add_argument("--minutes", type=int, default=1800, help="of the measurement of speed; 0: leave it out")
    parser.add_argument("--month-markets", type=int, default=9, help="of the quiet month; 0: leave it out")
    parser.add_argument("--month-days", type=int, default=30)
    parser.add_argument("--trades", nargs="*", default=[RECORDED_DAY], metavar="KEY=FILE", help="Binance's aggTrades")
    parser.add_argument("--candles", nargs="*", default=[], metavar="KEY=FILE", help="time, o, h, l, c, volume as CSV")
    parser.add_argument("--rules", type=Path, help="as for candlewick signals; default: its own")
    parser.add_argument("--keep", action="store_true", help="write results/signals.json")
    asked = parser.parse_args()
    rules = rules_of(tomllib.loads(asked.rules.read_text())) if asked.rules else SignalRules()
    figures = speed(asked.markets, asked.minutes) if asked.minutes else []
    if asked.month_markets:
        figures += begun("quiet", quiet_minutes(asked.month_markets, asked.month_days * DAY_MINUTES, seed=2), rules)
    figures += recorded(asked.trades, asked.candles, rules)
    for one in figures:
        print(f"{one['name']:70} {one['median']:>12,.2f} {one['unit']}")
    if asked.keep:
        write("signals", {"figures": figures})


if __name__ == "__main__":
    main()
