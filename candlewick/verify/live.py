"""Live tickers of one market, held against the live candle in them and the minutes that were closed by then. Pure."""

import json
from collections import deque

from candlewick.verify.differences import ticker_differences
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.names import ticker_name
from candlewick.verify.windows import MINUTE_MS, MarketMinutes
from market.records import Record

LOOKED_AT = 3
"""So many live tickers of a minute, the last ones, are looked at: to compute one takes a millisecond."""


class LiveTickers:
    """First live candles and live tickers go in, then each change of the market's minutes is told in log order.

    The log does not say which minutes a live ticker was made of: it came after the newest closed minute before it, and
    before the next. So it is right if it is what the minutes give at any moment between the two.
    """

    def __init__(self, key: str, minutes: MarketMinutes, findings: Findings, *, are_candles_whole: bool) -> None:
        """`are_candles_whole`: whether the log still has every live candle."""
        self._key = key
        self._minutes = minutes
        self._findings = findings
        self._are_candles_whole = are_candles_whole
        self._candles: dict[int, list[bytes]] = {}
        """By open time in milliseconds."""
        self._tickers: dict[int, deque[bytes]] = {}
        """By `time_ms`, the last of each minute."""
        self._open_ms = 0
        """The minute that is open now."""
        self._waiting: dict[bytes, str] = {}
        """The tickers of the minute that is open now, each with how it differs as far as was seen."""

    def take_candle(self, record: Record) -> None:
        """Take in a live candle."""
        value = record.value or b""
        self._candles.setdefault(json.loads(value.decode())["open_time_ms"], []).append(value)

    def take_ticker(self, time_ms: int, value: bytes) -> None:
        """Take in a live ticker."""
        self._tickers.setdefault(time_ms, deque(maxlen=LOOKED_AT)).append(value)

    def closed(self, open_ms: int) -> None:
        """The newest minute was closed: tickers of the one behind it may come."""
        self._open_ms = open_ms + MINUTE_MS
        self._waiting = dict.fromkeys(self._tickers.pop(self._open_ms + MINUTE_MS, ()), "")
        self.changed()

    def changed(self) -> None:
        """One of the minutes changed."""
        if not self._waiting:
            return
        candles: list[Fields] = [json.loads(value.decode()) for value in self._candles.get(self._open_ms, ())]
        for value in list(self._waiting):
            ticker: Fields = json.loads(value.decode())
            for candle in candles:
                if candle["close"] != ticker["last"] or candle["revision"] > ticker["revision"]:
                    continue
                differing = ticker_differences(self._minutes.ticker(self._open_ms, candle), ticker)
                if not differing:
                    del self._waiting[value]
                    self._findings.live_tickers += 1
                    break
                if self._are_candles_whole or candle["revision"] == ticker["revision"]:  # else it may be another's
                    self._waiting[value] = self._waiting[value] or differing

    def closing(self) -> None:
        """The open minute closes now: what no moment gave is wrong."""
        for differing in self._waiting.values():
            self._miss(self._open_ms + MINUTE_MS, differing)
        self._waiting.clear()
        self._candles.pop(self._open_ms, None)

    def end(self) -> None:
        """All minutes are in."""
        self.closing()
        for time_ms, values in self._tickers.items():
            for _ in values:
                self._miss(time_ms, "")

    def _miss(self, time_ms: int, differing: str) -> None:
        if differing or self._are_candles_whole:
            what = differing or "no open candle behind a closed minute leads to it"
            self._findings.add(FindingKind.DIFFERENT, f"{ticker_name(self._key, time_ms)} (live): {what}")
        else:
            self._findings.untold_tickers += 1
