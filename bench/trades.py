"""The benchmark's trades: 300 symbols, Zipf-distributed, half an hour of market time, and their candles by integers."""

import bisect
import itertools
import json
import random
from collections.abc import Iterator

from market.codec import encode_marker
from market.partition import partition_of
from market.trade import Marker, Proof
from runtime.kafka import Outgoing

SYMBOLS = 300
SPAN_US = 30 * 60_000_000
START_US = 28_333_333 * 60_000_000
PARTITIONS = 4

KEYS = [f"bench:S{n:03d}-USDT" for n in range(SYMBOLS)]
PRICE_DIGITS = [2 if n < 60 else 4 if n < 200 else 6 for n in range(SYMBOLS)]
QTY_DIGITS = [5 if n < 100 else 3 for n in range(SYMBOLS)]


class Figures:
    """A minute's candle in integer ticks and lots, apart from the project's own fold."""

    __slots__ = ("close", "high", "low", "open", "quote", "taker", "taker_quote", "trades", "volume")

    def __init__(self, price: int) -> None:
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote = self.taker = self.taker_quote = self.trades = 0

    def add(self, price: int, qty: int, *, buy: bool) -> None:
        """Take a trade in, in order."""
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += qty
        self.quote += price * qty
        self.trades += 1
        if buy:
            self.taker += qty
            self.taker_quote += price * qty


def make_records(trades: int, figures: dict[tuple[int, int], Figures]) -> Iterator[Outgoing]:
    """Trades and their markers in log order; `figures` is filled by (symbol, minute) on the way."""
    rng = random.Random(7)
    weights = list(itertools.accumulate(1 / (n + 1) for n in range(SYMBOLS)))
    price = [rng.randint(10**4, 10**6) for _ in range(SYMBOLS)]
    ids = [rng.randint(10**5, 10**6) for _ in range(SYMBOLS)]
    partitions = [partition_of(key.encode(), PARTITIONS) for key in KEYS]
    yield from _markers(partitions, START_US, Proof.BEGIN)
    minute = START_US
    for number in range(trades):
        symbol = min(bisect.bisect_left(weights, rng.random() * weights[-1]), SYMBOLS - 1)
        time_us = START_US + number * SPAN_US // trades
        while time_us >= minute + 60_000_000:
            minute += 60_000_000
            yield from _markers(partitions, minute, Proof.IDS)
        price[symbol] = max(100, price[symbol] + rng.choice((-3, -2, -1, 0, 0, 1, 2, 3)))
        qty, buy = 1 + int(rng.random() ** 4 * 200_000), rng.random() < 0.5
        ids[symbol] += 1
        minute_of = (symbol, minute)
        if minute_of not in figures:
            figures[minute_of] = Figures(price[symbol])
        figures[minute_of].add(price[symbol], qty, buy=buy)
        exchange, name = KEYS[symbol].split(":")
        value = json.dumps(
            {
                "exchange": exchange,
                "symbol": name,
                "trade_id": str(ids[symbol]),
                "price": _decimal(price[symbol], PRICE_DIGITS[symbol]),
                "qty": _decimal(qty, QTY_DIGITS[symbol]),
                "side": "buy" if buy else "sell",
                "time_us": time_us,
                "received_us": time_us + 20_000 + number % 9_000,
                "source": "ws",
            },
            separators=(",", ":"),
        )
        yield Outgoing(KEYS[symbol].encode(), value.encode(), partition=partitions[symbol])
    yield from _markers(partitions, minute + 60_000_000, Proof.IDS)


def _markers(partitions: list[int], until_us: int, proof: Proof) -> Iterator[Outgoing]:
    headers = encode_marker(Marker(complete_until_us=until_us, published_until_us=until_us, proof=proof))
    for key, partition in zip(KEYS, partitions, strict=True):
        yield Outgoing(key.encode(), None, headers, partition)


def _decimal(ticks: int, digits: int) -> str:
    text = str(ticks).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"
