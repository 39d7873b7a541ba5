"""Longer candles and tickers of one partition of the log, compared with what its 1m candles give. Pure."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from candlewick.verify.amounts import clock
from candlewick.verify.differences import exact_differences, ticker_differences
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.live import LiveTickers
from candlewick.verify.logged import KeptKind, LoggedMarket, keep
from candlewick.verify.names import candle_name, ticker_name
from candlewick.verify.windows import MarketMinutes
from market.records import Record


@dataclass
class RolledMarket:
    """What the log says of one market's longer candles and tickers."""

    candles: LoggedMarket = field(default_factory=dict)
    tickers: LoggedMarket = field(default_factory=dict)
    closed: dict[int, bytes] = field(default_factory=dict)
    """`time_ms` → the JSON of the ticker that is not live."""

    def take_candle(self, record: Record) -> str:
        """Keep the candle of the highest revision; says what is wrong with it, if anything."""
        fields: Fields = json.loads((record.value or b"").decode())
        known = self.candles.get((fields["timeframe"], fields["open_time_ms"]))
        keep(KeptKind.CANDLE, self.candles, record, fields)
        if known is None or known.revision != fields["revision"]:
            return ""
        return exact_differences(json.loads(known.values[0].decode()), fields)


class RolledCheck:
    """The comparison of one partition: first candles but 1m ones and tickers go in, then 1m candles in log order."""

    def __init__(self, keys: Collection[str], findings: Findings, *, are_live_candles_whole: bool = True) -> None:
        """`are_live_candles_whole`: whether the log still has every live candle."""
        self.markets = {key: RolledMarket() for key in keys}
        self.are_tickers_compacted = False
        """Whether the topic lacks tickers that it had."""
        self._findings = findings
        self._minutes = {key: MarketMinutes(key) for key in keys}
        self._live = {
            key: LiveTickers(key, minutes, findings, are_candles_whole=are_live_candles_whole)
            for key, minutes in self._minutes.items()
        }
        self._newest_ms: dict[str, int] = {}
        self._due_ms: dict[str, int] = {}
        """Key → the newest live minute of the revision at hand: its ticker comes once all of the revision is there."""
        self._revision = -1
        self._next_ticker = 0

    def take_candle(self, record: Record) -> None:
        """Take in a longer candle."""
        market = self._market(record)
        if market is not None and (wrong := market.take_candle(record)):
            self._findings.add(FindingKind.DIFFERENT, f"{record.topic} offset {record.offset}: {wrong}")

    def take_live_candle(self, record: Record) -> None:
        """Take in a live candle."""
        if self._market(record) is not None:
            self._live[(record.key or b"").decode()].take_candle(record)

    def take_ticker(self, record: Record) -> None:
        """Take in a ticker."""
        self.are_tickers_compacted |= record.offset != self._next_ticker
        self._next_ticker = record.offset + 1
        market, key = self._market(record), (record.key or b"").decode()
        if market is None:
            return
        fields: Fields = json.loads((record.value or b"").decode())
        keep(KeptKind.TICKER, market.tickers, record, fields)
        if fields["live"]:
            self._live[key].take_ticker(fields["time_ms"], record.value or b"")
        elif market.closed.setdefault(fields["time_ms"], record.value or b"") != record.value:
            wrong = f"another ticker of {clock(fields['time_ms'] * 1000)} than the one before"
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
        open_ms = candle["open_time_ms"]
        is_newest = "run" not in dict(record.headers) and open_ms > self._newest_ms.get(key, -1)
        if is_newest:
            self._live[key].closing()
            self._newest_ms[key] = self._due_ms[key] = open_ms
        self._minutes[key].put(candle)
        self._live[key].changed()

    def end(self) -> None:
        """Compare what is left, once all 1m candles are in."""
        self._check_tickers()
        for key, market in self.markets.items():
            self._live[key].end()
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
            elif not self.are_tickers_compacted:
                self._findings.add(FindingKind.MISSING, name)
            self._live[key].closed(open_ms)
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
            elif differing := exact_differences(expected, json.loads(actual.values[0].decode())):
                self._findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")
        for timeframe, open_ms in left:
            if minutes.first_ms is None or open_ms >= minutes.first_ms:  # else its minutes may have left the log
                name = candle_name(key, timeframe, open_ms)
                self._findings.add(FindingKind.DIFFERENT, f"{name}: the log lacks some of its minutes")

    def _market(self, record: Record) -> RolledMarket | None:
        return None if record.value is None else self.markets.get((record.key or b"").decode())
