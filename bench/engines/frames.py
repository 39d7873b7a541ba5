"""Frames of Binance's combined stream, as they come over the wire; the same numbers give the same frames."""

import bisect
import itertools
import random
from collections.abc import Iterator

PER_S = 20_000
"""Trades in a second of market time."""


def natives(symbols: int) -> list[str]:
    """The symbols' names, the busiest first."""
    return [f"S{number:04d}USDT" for number in range(symbols)]


class Tape:
    """A market whose symbols trade by Zipf's law; ids count up by one for each symbol."""

    def __init__(self, symbols: int) -> None:
        self.natives = natives(symbols)
        self._rng = random.Random(7)
        self._weights = list(itertools.accumulate(1 / (number + 1) for number in range(symbols)))
        self._ticks = [self._rng.randint(10**4, 10**7) for _ in self.natives]
        self._ids = [self._rng.randint(10**8, 4 * 10**9) for _ in self.natives]

    def any_symbol(self) -> int:
        """The number of the symbol that trades next."""
        return min(bisect.bisect_left(self._weights, self._rng.random() * self._weights[-1]), len(self.natives) - 1)

    def frame(self, symbol: int, time_ms: int) -> bytes:
        """Its next trade."""
        rng, native = self._rng, self.natives[symbol]
        self._ids[symbol] += 1
        self._ticks[symbol] = max(100, self._ticks[symbol] + rng.choice((-3, -2, -1, 0, 0, 1, 2, 3)))
        price, qty = self._ticks[symbol] / 100, (1 + int(rng.random() ** 4 * 200_000)) / 10_000
        return (
            f'{{"stream":"{native.lower()}@trade","data":{{"e":"trade","E":{time_ms + 1},"s":"{native}",'
            f'"t":{self._ids[symbol]},"p":"{price:.8f}","q":"{qty:.8f}","T":{time_ms},'
            f'"m":{"true" if rng.random() < 0.5 else "false"},"M":true}}}}'
        ).encode()


def frames(trades: int, symbols: int, start_ms: int) -> Iterator[bytes]:
    """One trade a frame, in time order; the first ones are one of each symbol."""
    tape = Tape(symbols)
    for number in range(trades):
        symbol = number if number < symbols else tape.any_symbol()
        yield tape.frame(symbol, start_ms + number * 1000 // PER_S)
