"""Bars held against the trades and markers of the log, folded anew in its order. Pure."""

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from candlewick.verify.amounts import SCALE, parse_amount, plain_amount, trimmed
from candlewick.verify.expected import ANY_STATUS, MINUTE_US, Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.names import bar_name
from market.records import Record

LATENESS_US = 10 * MINUTE_US
"""So far behind the greatest marker a minute is final."""
_QUOTE_SCALE = 2 * SCALE
_SCALES = {"tick": 0, "volume": SCALE, "dollar": _QUOTE_SCALE}
_STATUS_OF_PROOF = {"ids": "complete", "connection": "connected", "kline": "kline", "hole": "hole"}
_HOLE = ANY_STATUS.index("hole")

BarSizeName = tuple[str, str]
"""Kind, and threshold in canonical text."""
TradePlace = tuple[int, int, int, str]


class FoldedTrade(NamedTuple):
    """A trade as bars need it; amounts as whole numbers."""

    place: TradePlace
    """Its place among the trades of its market."""
    trade_id: str
    price: int
    qty: int
    is_buy: bool

    @property
    def time_us(self) -> int:
        """When it was."""
        return self.place[0]


@dataclass
class UnfoldedMinute:
    """A minute that is not final yet."""

    ids: set[str] = field(default_factory=set)
    trades: list[FoldedTrade] = field(default_factory=list)
    status: int | None = None


class ClosedBar(NamedTuple):
    """An expected bar: the minutes that it spans, where its range ends, and its fields."""

    from_us: int
    until_us: int
    end: TradePlace
    fields: Fields


class SizeFold:
    """The bars of one size, from one minute on."""

    def __init__(self, size: BarSizeName, begin_us: int) -> None:
        self._kind, self._text = size
        self._scale = _SCALES[self._kind]
        self._threshold = parse_amount(self._text, self._scale)
        self.begin_us = begin_us
        self.bars: list[ClosedBar] = []
        self._from_us, self._carried = begin_us, 0
        self._trades: list[FoldedTrade] = []
        self._total = 0

    def fold(self, trades: Sequence[FoldedTrade], open_us: int) -> None:
        """Fold in a minute's trades, in their order."""
        for trade in trades:
            self._trades.append(trade)
            brought = {"tick": 1, "volume": trade.qty, "dollar": trade.price * trade.qty}[self._kind]
            self._total += brought
            if self._carried + self._total >= self._threshold:
                self._carried = (self._carried + self._total) % self._threshold
                self._close(open_us)
                self._trades, self._total, self._from_us = [], 0, open_us

    def _close(self, open_us: int) -> None:
        trades = self._trades
        prices = [trade.price for trade in trades]
        bought = [trade for trade in trades if trade.is_buy]
        fields = {
            "kind": self._kind,
            "threshold": self._text,
            "series_begin_us": self.begin_us,
            "number": len(self.bars) + 1,
            "open_time_us": trades[0].time_us,
            "close_time_us": trades[-1].time_us,
            "open": plain_amount(prices[0]),
            "high": plain_amount(max(prices)),
            "low": plain_amount(min(prices)),
            "close": plain_amount(prices[-1]),
            "volume": plain_amount(sum(trade.qty for trade in trades)),
            "quote_volume": plain_amount(sum(trade.price * trade.qty for trade in trades), _QUOTE_SCALE),
            "trades": len(trades),
            "taker_buy_volume": plain_amount(sum(trade.qty for trade in bought)),
            "taker_buy_quote_volume": plain_amount(sum(trade.price * trade.qty for trade in bought), _QUOTE_SCALE),
            "first_trade_id": trades[0].trade_id,
            "last_trade_id": trades[-1].trade_id,
            "remainder": trimmed(plain_amount(self._carried, self._scale)) if self._scale else str(self._carried),
        }
        self.bars.append(ClosedBar(self._from_us, open_us, trades[-1].place, fields))


class MarketFold:
    """One market's live trades and markers, in the order of the log."""

    def __init__(self, key: str, begins: Mapping[BarSizeName, Collection[int]]) -> None:
        """`begins`: size → where series of it begin by the log; of none, it is the market's own begin."""
        self._exchange, _, self._symbol = key.partition(":")
        self._begins = begins
        self._begin_us: int | None = None
        self._final_us: int | None = None
        self._folded_us = 0
        self._minutes: dict[int, UnfoldedMinute] = {}
        self._statuses: dict[int, int] = {}
        self._late: list[TradePlace] = []
        self._told = 0
        """How many of the late trades a marker followed: the others are on no bar yet."""
        self._folds: list[SizeFold] = []

    def take_trade(self, trade: FoldedTrade) -> None:
        """Hold a trade until its minute is over."""
        time_us = trade.time_us
        if (self._final_us is not None and time_us < self._final_us) or time_us < (self._begin_us or 0):
            return
        open_us = time_us - time_us % MINUTE_US
        minute = self._minutes.setdefault(open_us, UnfoldedMinute())
        if trade.trade_id in minute.ids:
            return
        minute.ids.add(trade.trade_id)
        if open_us < self._folded_us:
            self._late.append(trade.place)
        else:
            minute.trades.append(trade)

    def take_marker(self, until_us: int, published_us: int, proof: str, *, takes_back: bool) -> None:
        """Fold the minutes that are over."""
        if self._final_us is not None and until_us <= self._final_us:
            return
        if self._begin_us is None:
            self._begin(-(-published_us // MINUTE_US) * MINUTE_US)
        self._final_us = max(self._final_us or 0, until_us - LATENESS_US)
        if proof != "begin" and until_us - MINUTE_US >= (self._begin_us or 0):
            minute = self._minutes.setdefault(until_us - MINUTE_US, UnfoldedMinute())
            rank = ANY_STATUS.index(_STATUS_OF_PROOF[proof])
            minute.status = rank if takes_back or minute.status is None else min(rank, minute.status)
            if until_us <= self._folded_us:
                self._statuses[until_us - MINUTE_US] = minute.status
        self._fold()
        for open_us in [open_us for open_us in self._minutes if open_us < self._final_us]:
            del self._minutes[open_us]
        self._told = len(self._late)

    def bars(self) -> Iterator[Fields]:
        """All closed bars, without their revisions."""
        for fold in self._folds:
            late = [0] * (len(fold.bars) + 1)
            for place in self._late[: self._told]:
                if place[0] >= fold.begin_us:
                    late[bisect_left(fold.bars, place, key=lambda bar: bar.end)] += 1
            for bar, count in zip(fold.bars, late, strict=False):
                minutes = range(bar.from_us, bar.until_us + MINUTE_US, MINUTE_US)
                yield {
                    "exchange": self._exchange,
                    "symbol": self._symbol,
                    **bar.fields,
                    "late_trades": count,
                    "status": ANY_STATUS[max(self._statuses[open_us] for open_us in minutes)],
                }

    def _begin(self, begin_us: int) -> None:
        self._begin_us = self._folded_us = begin_us
        self._minutes = {open_us: minute for open_us, minute in self._minutes.items() if open_us >= begin_us}
        self._folds = [
            SizeFold(size, from_us) for size, begins in self._begins.items() for from_us in (begins or {begin_us})
        ]

    def _fold(self) -> None:
        """In order; a minute without a marker is a hole once it is final."""
        while True:
            minute, open_us = self._minutes.get(self._folded_us), self._folded_us
            is_final = open_us < (self._final_us or 0)
            if not is_final and (minute is None or minute.status is None):
                return
            minute = minute or UnfoldedMinute()
            self._statuses[open_us] = _HOLE if minute.status is None else minute.status
            trades = sorted(minute.trades)
            for fold in self._folds:
                if fold.begin_us <= open_us:
                    fold.fold(trades, open_us)
            minute.trades = []
            self._folded_us += MINUTE_US


class BarCheck:
    """The comparison of one partition: first the bars go in, then trades and markers in log order."""

    def __init__(self, thresholds: Mapping[str, Sequence[BarSizeName]], findings: Findings) -> None:
        self._findings = findings
        self._thresholds = thresholds
        self._bars: dict[str, dict[tuple[str, str, int, int], Fields]] = {key: {} for key in thresholds}
        self._markets: dict[str, MarketFold] = {}

    def take_bar(self, record: Record) -> None:
        """Take in a bar; of one number the highest revision counts. Bars of runs are not compared."""
        key = (record.key or b"").decode()
        if record.value is None or key not in self._bars or "run" in dict(record.headers):
            return
        bar: Fields = json.loads(record.value.decode())
        name = bar["kind"], bar["threshold"], bar["series_begin_us"], bar["number"]
        known = self._bars[key].get(name)
        if known is None or known["revision"] < bar["revision"]:
            self._bars[key][name] = bar

    def take_trade(self, record: Record) -> None:
        """Take in a trade or a marker."""
        key, headers = (record.key or b"").decode(), dict(record.headers)
        if key not in self._bars or "run" in headers:
            return
        if key not in self._markets:
            begins: dict[BarSizeName, set[int]] = {size: set() for size in self._thresholds[key]}
            for kind, threshold, begin_us, _ in self._bars[key]:
                begins.setdefault((kind, threshold), set()).add(begin_us)
            self._markets[key] = MarketFold(key, begins)
        market = self._markets[key]
        if record.value is not None:
            market.take_trade(_trade(json.loads(record.value.decode())))
        elif "proof" in headers:
            until_us, published_us = int(headers["complete_until_us"]), int(headers["published_until_us"])
            market.take_marker(until_us, published_us, headers["proof"].decode(), takes_back="takes_back" in headers)

    def end(self) -> None:
        """Compare, once everything is in."""
        for key, market in self._markets.items():
            left = self._bars[key]
            for expected in market.bars():
                kind, threshold, begin_us, number = (
                    expected[name] for name in ("kind", "threshold", "series_begin_us", "number")
                )
                name = bar_name(key, expected)
                self._findings.bars = (self._findings.bars or 0) + 1
                actual = left.pop((kind, threshold, begin_us, number), None)
                if actual is None:
                    self._findings.add(FindingKind.MISSING, name)
                elif differing := _differences(expected, actual):
                    self._findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")
            for bar in left.values():
                self._findings.add(FindingKind.DIFFERENT, f"{bar_name(key, bar)}: no trades lead to it")


def read_sizes(text: str, keys: Collection[str]) -> dict[str, list[BarSizeName]]:
    """Market → sizes, by the thresholds' file; a market's own table counts alone, then the first pattern."""
    tables = tomllib.loads(text)
    sizes = {}
    for key in keys:
        pattern = key if key in tables else next((name for name in tables if _matches(name, key)), None)
        if pattern is not None:
            sizes[key] = [(kind, trimmed(str(value))) for kind, values in tables[pattern].items() for value in values]
    return sizes


def _matches(pattern: str, key: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key, re.DOTALL) is not None


def _differences(expected: Fields, actual: Fields) -> str:
    names = [name for name in {**expected, **actual} if name != "revision" and expected.get(name) != actual.get(name)]
    return ", ".join(f"{name} is {actual.get(name)!r}, not {expected.get(name)!r}" for name in names)


def _trade(fields: Fields) -> FoldedTrade:
    trade_id = fields["trade_id"]
    order = (0, int(trade_id), "") if trade_id.isdecimal() else (1, fields.get("seq") or 0, trade_id)
    return FoldedTrade(
        (fields["time_us"], *order),
        trade_id,
        parse_amount(fields["price"]),
        parse_amount(fields["qty"]),
        fields["side"] == "buy",
    )
