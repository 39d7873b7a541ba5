"""A made-up partition of 1m candles: live feeds, and runs that write over them and over each other, of several days."""

import random
from collections.abc import Callable

import orjson
from rolled import DAY, MINUTE, START, Minute, minute

from market.partition import partition_of

SYMBOLS = ("BTC-USDT", "ETH-USDT")
TODAY = START + 3 * DAY


class MadeLog:
    """`records` in log order. Records of one revision stand side by side; a greater one is of a later marker."""

    def __init__(self, seed: int, steps: int) -> None:
        self.records: list[Minute] = []
        self._at = random.Random(seed)
        self._clock_ms = TODAY + self._at.choice((5, 100, 700)) * MINUTE
        self._revision = 100
        writers = [self._feed(symbol) for symbol in SYMBOLS]
        for _ in range(steps):
            if self._at.random() < 0.2:
                writers.append(self._run(b"run-%d" % len(self.records)))
            self._at.choice([*writers, self._noise])()
            if self._at.random() < 0.01:  # a night goes by
                self._clock_ms += self._at.choice((1, 7, 30)) * 60 * MINUTE

    def _feed(self, symbol: str) -> Callable[[], None]:
        open_ms = self._clock_ms // MINUTE * MINUTE - 3 * MINUTE

        def write() -> None:
            nonlocal open_ms
            for _ in range(self._at.randint(1, 12)):
                if self._at.random() < 0.03:
                    open_ms += self._at.randint(1, 3) * MINUTE  # minutes that nobody wrote
                opens = {open_ms}
                if self._at.random() < 0.2:
                    opens |= {open_ms - self._at.randint(1, 9) * MINUTE for _ in range(2)}
                self._clock_ms = max(self._clock_ms, open_ms + MINUTE)
                self._write(symbol, sorted(opens))
                open_ms += MINUTE

        return write

    def _run(self, name: bytes) -> Callable[[], None]:
        symbol = self._at.choice(SYMBOLS)
        day = self._at.choice((START - 400 * DAY, START, TODAY - DAY, TODAY, self._clock_ms // DAY * DAY))
        open_ms = day + self._at.choice((0, 0, 7, 40, 1380)) * MINUTE
        last_ms = open_ms + self._at.choice((4, 20, 65)) * MINUTE

        def write() -> None:
            nonlocal open_ms
            for _ in range(self._at.randint(1, 25)):
                opens = [open_ms + n * MINUTE for n in range(self._at.choice((1, 1, 1, 2)))]
                open_ms = opens[-1] + MINUTE * (2 if self._at.random() < 0.03 else 1)
                if last_ms >= opens[-1] and opens[-1] + MINUTE <= self._clock_ms:
                    self._write(symbol, opens, name)

        return write

    def _noise(self) -> None:
        """What changes nothing: the same again, a lower revision, a record without value, a broken one."""
        if not self.records:
            return
        one = self._at.choice(self.records)
        kind = self._at.randrange(4)
        if kind == 0:
            self._append(one.key, one.value, one.headers)
        elif kind == 1 and one.value not in (None, b"{"):
            lower = one.fields | {"revision": one.fields["revision"] - 1, "open": "7"}
            self._append(one.key, orjson.dumps(lower), one.headers)
        elif kind == 2:
            self._append(b"", None, (("roll", b""),))
        elif kind == 3:
            self._append(one.key, b"{", ())

    def _write(self, symbol: str, opens: list[int], run: bytes | None = None) -> None:
        self._revision += self._at.randint(1, 5)
        for open_ms in opens:
            value = minute(self._at, open_ms, self._revision, symbol)
            self._append(f"binance:{symbol}".encode(), value, (("run", run),) if run else ())

    def _append(self, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
        assert partition_of(key, 1) == 0
        self._clock_ms += self._at.randint(0, 50)
        self.records.append(Minute(len(self.records), self._clock_ms, key, value, headers))


def is_candle(record: Minute) -> bool:
    return record.value not in (None, b"{")
