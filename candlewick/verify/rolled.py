"""Longer candles and tickers of one partition of the log, compared with what its 1m candles give. Pure."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from candlewick.verify.amounts import clock
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.windows import MarketMinutes, exact_differences, ticker_differences
from market.records import Record

CandleName = tuple[str, int]
"""Timeframe and open time in milliseconds."""


@dataclass
class RolledMarket:
    """What the log says of one market's longer candles and tickers."""

    candles: dict[CandleName, Fields] = field(default_factory=dict)
    """Of each window the highest revision."""
    closed: dict[int, bytes] = field(default_factory=dict)
    """`time_ms` → the JSON of the ticker that is not live."""
    tickers: dict[int, list[bytes]] = field(default_factory=dict)
    """`time_ms` → the tickers of the highest revision, live or not: a store has to hold one of them."""

    def take_candle(self, value: bytes) -> str:
        """Keep the candle of the highest revision; says what is wrong with it, if anything."""
        fields: Fields = json.loads(value.decode())
        name = fields["timeframe"], fields["open_time_ms"]
        known = self.candles.get(name)
        if known is None or known["revision"] < fields["revision"]:
            self.candles[name] = fields
        elif known["revision"] == fields["revision"]:
            return exact_differences(known, fields)
        return ""

    def take_ticker(self, value: bytes) -> str:
        """Keep a ticker; says what is wrong with it, if anything."""
        fields: Fields = json.loads(value.decode())
        time_ms, revision = fields["time_ms"], fields["revision"]
        held = self.tickers.setdefault(time_ms, [value])
        held_revision = json.loads(held[0].decode())["revision"]
        if revision > held_revision:
            self.tickers[time_ms] = [value]
        elif revision == held_revision and value not in held:
            held.append(value)
        if fields["live"] or self.closed.setdefault(time_ms, value) == value:
            return ""
        return f"another ticker of {clock(time_ms * 1000)} than the one before"


class RolledCheck:
    """The comparison of one partition: first longer candles and tickers go in, then the 1m candles in log order."""

    def __init__(self, keys: Collection[str], findings: Findings) -> None:
        self.markets = {key: RolledMarket() for key in keys}
        self._findings = findings
        self._minutes = {key: MarketMinutes(key) for key in keys}
        self._newest_ms: dict[str, int] = {}
        self._due_ms: dict[str, int] = {}
        """Key → the newest live minute of the revision at hand: its ticker comes once all of the revision is there."""
        self._revision = -1
        self._next_ticker = 0
        self._is_compacted = False
        """Whether the topic lacks tickers that it had."""

    def take_candle(self, record: Record) -> None:
        """Take in a longer candle."""
        market = self._market(record)
        if market is not None and (wrong := market.take_candle(record.value or b"")):
            self._findings.add(FindingKind.DIFFERENT, f"{record.topic} offset {record.offset}: {wrong}")

    def take_ticker(self, record: Record) -> None:
        """Take in a ticker."""
        self._is_compacted |= record.offset != self._next_ticker
        self._next_ticker = record.offset + 1
        market = self._market(record)
        if market is not None and (wrong := market.take_ticker(record.value or b"")):
            self._findings.add(FindingKind.DIFFERENT, f"{record.topic} offset {record.offset}: {wrong}")

    def take_minute(self, record: Record) -> None:
        """Take in a 1m candle."""
        if record.value is None:
            return
        candle: Fields = json.loads(record.value.decode())
        key = f"{candle['exchange']}:{candle['symbol']}"
        if candle["revision"] != self._revision:
            self._check_tickers()
            self._revision = candle["revision"]
        if key not in self._minutes:
            return
        self._minutes[key].put(candle)
        open_ms = candle["open_time_ms"]
        if "run" not in dict(record.headers) and open_ms > self._newest_ms.get(key, -1):
            self._newest_ms[key] = self._due_ms[key] = open_ms

    def end(self) -> None:
        """Compare what is left, once all 1m candles are in."""
        self._check_tickers()
        for key, market in self.markets.items():
            self._check_candles(key, market)
            for time_ms in market.closed:
                self._findings.add(FindingKind.DIFFERENT, f"{ticker_name(key, time_ms)}: no minute led to it")

    def _check_tickers(self) -> None:
        for key, open_ms in self._due_ms.items():
            expected = self._minutes[key].ticker(open_ms)
            name = ticker_name(key, expected["time_ms"])
            value = self.markets[key].closed.pop(expected["time_ms"], None)
            if value is not None:
                self._findings.tickers += 1
                if differing := ticker_differences(expected, json.loads(value.decode())):
                    self._findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")
            elif not self._is_compacted:
                self._findings.add(FindingKind.MISSING, name)
        self._due_ms.clear()

    def _check_candles(self, key: str, market: RolledMarket) -> None:
        left = dict(market.candles)
        minutes = self._minutes[key]
        for expected in minutes.candles():
            timeframe, open_ms = expected["timeframe"], expected["open_time_ms"]
            name = candle_name(key, timeframe, open_ms)
            self._findings.longer += 1
            self._findings.timeframes.add(timeframe)
            actual = left.pop((timeframe, open_ms), None)
            if actual is None:
                self._findings.add(FindingKind.MISSING, name)
            elif differing := exact_differences(expected, actual):
                self._findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")
        for timeframe, open_ms in left:
            if minutes.first_ms is None or open_ms >= minutes.first_ms:  # else its minutes may have left the log
                name = candle_name(key, timeframe, open_ms)
                self._findings.add(FindingKind.DIFFERENT, f"{name}: the log lacks some of its minutes")

    def _market(self, record: Record) -> RolledMarket | None:
        return None if record.value is None else self.markets.get((record.key or b"").decode())


def candle_name(key: str, timeframe: str, open_ms: int, place: str = "Kafka") -> str:
    """A longer candle in words."""
    return f"the {timeframe} candle of {key} at {clock(open_ms * 1000)} in {place}"


def ticker_name(key: str, time_ms: int, place: str = "Kafka") -> str:
    """A ticker in words."""
    return f"the ticker of {key} at {clock(time_ms * 1000)} in {place}"
