"""The benchmark's log: trades of Zipf-distributed symbols with their markers, and their candles by whole numbers."""

import bisect
import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from market.codec import encode_marker
from market.partition import partition_of
from market.trade import Marker, Proof
from runtime.kafka import Outgoing

PARTITIONS = 4
MINUTE_US = 60_000_000
START_US = 28_333_333 * MINUTE_US
ENDING = "END"
"""A symbol that begins so has one trade, ten minutes after all others: engines without markers close on it."""
AFTER_US = 10 * MINUTE_US


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


Candles = dict[tuple[str, int], Figures]
"""By key (``exchange:SYMBOL``) and the minute's open in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Market:
    """What is in the log. The same numbers give the same log, byte for byte."""

    trades: int
    symbols: int = 300
    minutes: int = 30
    start_us: int = START_US
    upto: int | None = None
    """Only the first so many of the trades, with their markers."""
    duplicated: float = 0.0
    """Share of the trades that come a second time, right after."""
    late: float = 0.0
    """Share of the trades that come one to two minutes late, behind the marker of their minute."""

    def keys(self) -> list[str]:
        """The symbols' keys, the busiest first."""
        return [f"bench:S{n:05d}-USDT" for n in range(self.symbols)]

    def digits(self, symbol: int) -> tuple[int, int]:
        """Decimals of the symbol's prices and sizes."""
        price = 2 if 5 * symbol < self.symbols else 4 if 3 * symbol < 2 * self.symbols else 6
        return price, 5 if 3 * symbol < self.symbols else 3

    def records(self, candles: Candles) -> Iterator[Outgoing]:
        """Trades and markers in log order; `candles` is filled on the way."""
        rng = random.Random(7)
        keys = self.keys()
        partitions = [partition_of(key.encode(), PARTITIONS) for key in keys]
        weights = list(itertools.accumulate(1 / (n + 1) for n in range(self.symbols)))
        price = [rng.randint(10**4, 10**6) for _ in keys]
        ids = [rng.randint(10**5, 10**6) for _ in keys]
        delayed: deque[tuple[int, Outgoing]] = deque()
        yield from markers(keys, self.start_us, Proof.BEGIN)
        minute_us = self.start_us
        for number in range(self.upto or self.trades):
            time_us = self.start_us + number * self.minutes * MINUTE_US // self.trades
            while delayed and delayed[0][0] <= time_us:
                yield delayed.popleft()[1]
            while time_us >= minute_us + MINUTE_US:
                minute_us += MINUTE_US
                yield from markers(keys, minute_us, Proof.IDS)
            symbol = min(bisect.bisect_left(weights, rng.random() * weights[-1]), self.symbols - 1)
            price[symbol] = max(100, price[symbol] + rng.choice((-3, -2, -1, 0, 0, 1, 2, 3)))
            ids[symbol] += 1
            qty, buy = 1 + int(rng.random() ** 4 * 200_000), rng.random() < 0.5
            minute = (keys[symbol], minute_us // 1000)
            if minute not in candles:
                candles[minute] = Figures(price[symbol])
            candles[minute].add(price[symbol], qty, buy=buy)
            ticks, lots = self.digits(symbol)
            exact = (_decimal(price[symbol], ticks), _decimal(qty, lots))
            value = trade(keys[symbol], ids[symbol], *exact, time_us, buy=buy)
            record = Outgoing(keys[symbol].encode(), value, partition=partitions[symbol])
            fate = rng.random()
            if fate < self.late:
                delayed.append((time_us + MINUTE_US, record))
                continue
            yield record
            if fate < self.late + self.duplicated:
                yield record
        yield from (record for _, record in delayed)
        yield from markers(keys, minute_us + MINUTE_US, Proof.IDS)


def markers(keys: list[str], until_us: int, proof: Proof) -> Iterator[Outgoing]:
    """A marker for each key."""
    headers = encode_marker(Marker(complete_until_us=until_us, published_until_us=until_us, proof=proof))
    for key in keys:
        yield Outgoing(key.encode(), None, headers, partition_of(key.encode(), PARTITIONS))


def endings(market: Market) -> Iterator[Outgoing]:
    """One trade in each partition, long after all others: it closes the windows of engines that know no markers."""
    time_us = market.start_us + market.minutes * MINUTE_US + AFTER_US
    missing = set(range(PARTITIONS))
    for number in itertools.count():
        key = f"bench:{ENDING}{number}-USDT"
        partition = partition_of(key.encode(), PARTITIONS)
        if partition in missing:
            missing.remove(partition)
            yield Outgoing(key.encode(), trade(key, 1, "1", "1", time_us, buy=True), partition=partition)
        if not missing:
            return


def trade(key: str, trade_id: int, price: str, qty: str, time_us: int, *, buy: bool) -> bytes:
    """A trade's JSON."""
    exchange, symbol = key.split(":")
    return (
        f'{{"exchange":"{exchange}","symbol":"{symbol}","trade_id":"{trade_id}","price":"{price}","qty":"{qty}",'
        f'"side":"{"buy" if buy else "sell"}","time_us":{time_us},"received_us":{time_us + 20_000},"source":"ws"}}'
    ).encode()


def _decimal(units: int, digits: int) -> str:
    """Canonical plain form: no trailing zeros."""
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}".rstrip("0").rstrip(".")
