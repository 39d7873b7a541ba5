"""1m candles of several exchanges in the partitions of one log, made from a seed: quiet, but for what is put in."""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from market.partition import partition_of
from market.signal import Signal
from processors.signals.core import LOOK_BACK_MS, SignalCore
from processors.signals.merge import END_MS
from processors.signals.reading import SignalReading
from processors.signals.rules import SignalRules

MINUTE_MS = 60_000
DAY_MS = 86_400_000
MIDNIGHT_MS = 1_700_006_400_000 // DAY_MS * DAY_MS
PARTITIONS = 4


class Stored(NamedTuple):
    """A record of one partition, as the processors read it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        return orjson.loads(self.value or b"{}")


@dataclass
class MarketsLog:
    """A log that candles are appended to, in the order of their append times."""

    partitions: dict[int, list[Stored]] = field(default_factory=lambda: {p: [] for p in range(PARTITIONS)})
    now_ms: int = 0

    def append(self, market: str, value: bytes | None, now_ms: int, headers: tuple[tuple[str, bytes], ...] = ()) -> int:
        """The new record's offset."""
        self.now_ms = max(self.now_ms, now_ms)
        records = self.partitions[partition_of(market.encode(), PARTITIONS)]
        # The ends of transactions take offsets too.
        offset = records[-1].offset + 1 + (records[-1].offset % 3 == 1) if records else 0
        records.append(Stored(offset, self.now_ms, market.encode(), value, headers))
        return offset

    def in_order(self) -> list[tuple[int, Stored]]:
        """Partition and record, in the order of the merged log."""
        placed = [(r.timestamp, p, r) for p, records in self.partitions.items() for r in records]
        return [(p, r) for _, p, r in sorted(placed, key=lambda one: (one[0], one[1], one[2].offset))]


def candle(market: str, minute: int, price: float, amount: float, revision: int, **fields: Any) -> bytes:
    """A candle of the minute (counted from 1970) that opens where it closes."""
    exchange, _, symbol = market.partition(":")
    made = {
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": "1m",
        "open_time_ms": minute * MINUTE_MS,
        "close_time_ms": (minute + 1) * MINUTE_MS - 1,
        **dict.fromkeys(("open", "high", "low", "close"), f"{price:.6f}"),
        "volume": f"{amount:.6f}",
        "quote_volume": f"{price * amount:.6f}",
        "trades": 25,
        "taker_buy_volume": "0",
        "taker_buy_quote_volume": "0",
        "first_trade_id": "1",
        "last_trade_id": "25",
        "revision": revision,
        "status": "complete",
    }
    return orjson.dumps(made | fields)


class QuietMarkets:
    """Prices that walk by normal steps, the same on all exchanges of a symbol but for a little; log-normal volumes.

    `odd` has, by (market, minute), what is different there: a factor of `close`, a multiple of the median `volume`,
    `absent`, or fields.
    """

    def __init__(self, markets: Sequence[str], seed: int = 1) -> None:
        self.markets = sorted(markets)
        self.odd: dict[tuple[str, int], Mapping[str, Any]] = {}
        self.sigma = 5e-4
        self.wild: dict[int, float] = {}
        """Minute → factor of the steps from then on."""
        self._at = random.Random(seed)
        self._prices = {market.partition(":")[2]: self._at.uniform(10, 1000) for market in self.markets}
        self._volumes = {market: self._at.uniform(1, 1000) for market in self.markets}
        self._factor = 1.0

    def write(self, log: MarketsLog, minutes: Iterable[int]) -> None:
        for minute in minutes:
            self._factor = self.wild.get(minute, self._factor)
            for symbol in self._prices:
                self._prices[symbol] *= math.exp(self._at.gauss(0, self.sigma * self._factor))
            now_ms = (minute + 1) * MINUTE_MS + 200
            for market in self._at.sample(self.markets, len(self.markets)):
                now_ms += self._at.randint(0, 40)
                self._write(log, market, minute, now_ms)

    def _write(self, log: MarketsLog, market: str, minute: int, now_ms: int) -> None:
        odd = dict(self.odd.get((market, minute), {}))
        close = self._prices[market.partition(":")[2]] * math.exp(self._at.gauss(0, 2e-5)) * odd.pop("close", 1)
        usual = math.exp(self._at.gauss(0, 0.5))
        volume = self._volumes[market] * odd.pop("volume", usual)
        revision = len(log.partitions[0]) * 7 + minute
        if not odd.pop("absent", False):
            log.append(market, candle(market, minute, close, volume, revision, **odd), now_ms)


def told_by(log: MarketsLog, rules: SignalRules | None = None) -> list[Signal]:
    """What an uninterrupted run tells, record by record in the right order."""
    core = SignalCore(rules or SignalRules(), PARTITIONS)
    signals: list[Signal] = []
    for partition, record in log.in_order():
        signals += core.pass_time(record.timestamp)
        signals += core.take(record, partition, record.timestamp)
    return signals


def read_all(
    log: MarketsLog,
    rules: SignalRules,
    at: random.Random,
    *,
    told: Mapping[int, int] | None = None,
    since_ms: int | None = None,
    most: int = 500,
) -> SignalReading | list[Signal]:
    """What a reading by random batches tells; the reading itself if it lacks older records."""
    told = told or dict.fromkeys(log.partitions, 0)
    silent_until_ms = 0 if since_ms is None else since_ms + LOOK_BACK_MS
    core = SignalCore(rules, PARTITIONS, silent_until_ms=silent_until_ms)
    reading = SignalReading(core, told, since_ms)
    begins = {
        p: next(
            (i for i, r in enumerate(records) if r.timestamp >= (since_ms or 0) or r.offset >= told[p]), len(records)
        )
        for p, records in log.partitions.items()
    }
    signals: list[Signal] = []
    while any(begins[p] < len(records) for p, records in log.partitions.items()) or not reading.is_rebuilt:
        p = at.choice([*log.partitions])
        records = log.partitions[p]
        batch = records[begins[p] : begins[p] + at.randint(0, most)]
        begins[p] += len(batch)
        reading.add(p, batch)
        if begins[p] == len(records):
            reading.know(p, records[-1].offset + 1 if records else 0, END_MS)
        signals += reading.step().signals
        if reading.lacks_since_ms is not None:
            return reading
    return signals


def only(signals: Iterable[Signal], kind: str) -> Iterator[Signal]:
    return (signal for signal in signals if signal.kind == kind)
