"""What is known of a run at the moment: stages, symbols, and what happened of late. Pure: time is an argument."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from candlewick.health.gap_counts import Gaps
from candlewick.pipeline.stage_names import is_producer
from candlewick.pipeline.view.pace import PaceChange, StagePace
from candlewick.pipeline.words import clock, duration
from market.candle import Candle
from market.feed import FeedEvent, FeedEventKind
from market.ticker import Ticker

MAX_HAPPENINGS = 100


TOLERATED_RECORDS, TOLERATED_S = 1_000, 3.0
"""A lag of so many records, or of so many seconds of a stage's own usual rate, is no sign that it does not keep up."""
USUAL_OVER = 10
"""How many progress lines, one a second, the usual rate is averaged over."""
MARKED_BEHIND_S, TOLERATED_OVERDUE_S = 120.0, 10.0
"""Markers are up to two minutes of market time behind. More is overdue, and tolerated for so many seconds."""


COMMITS_LATE = "sink.parquet"
"""It commits when a file ends, after up to 15 minutes. Its lag is what it has not read; the rest is in an open file."""


class Tone(StrEnum):
    """How a happening is meant."""

    CALM = "calm"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


_TONES = {
    FeedEventKind.CONNECTED: Tone.GOOD,
    FeedEventKind.GAP_FILLED: Tone.GOOD,
    FeedEventKind.DISCONNECTED: Tone.WARNING,
    FeedEventKind.GAP_OPENED: Tone.WARNING,
    FeedEventKind.RESET: Tone.WARNING,
    FeedEventKind.CONFLICT: Tone.WARNING,
    FeedEventKind.CLOCK_IGNORED: Tone.WARNING,
    FeedEventKind.CLOCK_BACK: Tone.GOOD,
    FeedEventKind.CLOCK_AWAY: Tone.BAD,
    FeedEventKind.TAKEN_BACK: Tone.BAD,
    FeedEventKind.HOLE: Tone.BAD,
}


class Happening(NamedTuple):
    """Something worth a line; `at_s` is seconds of the epoch."""

    at_s: float
    text: str
    tone: Tone


@dataclass
class StageFigures:
    """What is known of a stage; most of it from its newest progress line.

    Figures of earlier processes of the stage are kept in `before`.
    """

    state: str = "starting"
    restarts: int = 0
    records: int = 0
    records_per_s: float = 0.0
    usual_per_s: float = 0.0
    """The same, averaged over some ten seconds."""
    lag: int | None = None
    """Records of its input that its group has not committed, or that Parquet has not read; None: not known."""
    unread: int | None = None
    """Records of its input that it has not read, by its own count."""
    behind_s: float | None = None
    """Of a producer: how far the run's slowest symbol's newest marker is behind market time, in market seconds."""
    pace: StagePace = field(default_factory=StagePace)
    newest_age_ms: int | None = None
    own: dict[str, Any] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """The stage's own count of that name, over all its processes in this run."""
        return self.before.get(name, 0) + _count(self.own.get(name))

    def total_records(self) -> int:
        """Records handled, over all its processes in this run."""
        return self.before.get("records", 0) + self.records

    def carry_over(self) -> None:
        """Keep what the last process counted; a new one counts from zero."""
        for name in self.own:
            self.before[name] = self.total(name)
        self.before["records"] = self.total_records()
        self.records, self.own, self.records_per_s = 0, {}, 0.0


@dataclass
class SymbolFigures:
    """A symbol's newest candle, and its rolling statistics where there are any."""

    candle: Candle
    ticker: Ticker | None = None
    newest_closed_ms: int = -1
    """Open time of its newest closed candle."""

    def change_percent(self) -> Decimal | None:
        """Change over the last 24 hours, or what there is of them."""
        window = self.ticker.windows.get("24h") if self.ticker else None
        return window.change_percent if window else None


@dataclass
class Board:
    """All of it, bounded: one entry a stage and a symbol, the last `MAX_HAPPENINGS` happenings."""

    stages: dict[str, StageFigures] = field(default_factory=dict)
    symbols: dict[str, SymbolFigures] = field(default_factory=dict)
    happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=MAX_HAPPENINGS))
    candles: int = 0
    revisions: int = 0
    gaps: Gaps = field(default_factory=Gaps)
    marked_us: dict[str, int] = field(default_factory=dict)
    """Key → `complete_until_us` of its newest marker in this run."""
    is_at_present: bool = False
    """Whether simulated market time has reached the present, so that it is no faster than the wall clock."""
    market_ms: int = 0
    """Greatest market time seen in candles, UTC milliseconds."""

    def say(self, at_s: float, text: str, tone: Tone = Tone.CALM) -> None:
        """Something happened."""
        self.happenings.append(Happening(at_s, text, tone))

    def take_progress_line(self, stage: str, entry: Mapping[str, Any]) -> None:
        """A progress line of a stage."""
        figures = self.stages.setdefault(stage, StageFigures())
        figures.state = "running"
        figures.records = _count(entry.get("records"))
        figures.records_per_s = float(entry.get("records_per_s") or 0.0)
        figures.usual_per_s += (figures.records_per_s - figures.usual_per_s) / USUAL_OVER
        figures.unread, figures.newest_age_ms = entry.get("unread"), entry.get("newest_age_ms")
        figures.own = {name: value for name, value in entry.items() if name not in _COMMON}

    def take_lags(self, now_s: float, lags: Mapping[str, int]) -> list["Happening"]:
        """The lag of each stage, where known; returns who fell behind and who caught up."""
        news = []
        for name, figures in self.stages.items():
            lag = figures.lag = figures.unread if name == COMMITS_LATE else lags.get(name)
            if lag is not None:
                tolerated = max(TOLERATED_RECORDS, TOLERATED_S * figures.usual_per_s)
                news += self._judge(name, now_s, lag, tolerated, f"{lag:,} records behind")
        return news

    def forget_lags(self) -> None:
        """Nothing is known of lags at the moment."""
        for figures in self.stages.values():
            figures.lag = figures.behind_s = None

    def take_market_time(self, now_s: float, market_us: int, speed: float) -> list["Happening"]:
        """Market time now; `speed` in market seconds a second. Returns news of whether the producer keeps up."""
        self.is_at_present = market_us >= (now_s - 1.0) * 1e6
        news: list[Happening] = []
        for name, figures in self.stages.items():
            if not is_producer(name) or not self.marked_us or figures.state == "stopped":
                continue
            figures.behind_s = behind_s = max(0.0, (market_us - min(self.marked_us.values())) / 1e6)
            overdue_s = max(0.0, behind_s - MARKED_BEHIND_S) / (1.0 if self.is_at_present else speed)
            words = f"{duration(behind_s)} of market time behind"
            news += self._judge(name, now_s, overdue_s, TOLERATED_OVERDUE_S, words)
        return news

    def _judge(self, name: str, now_s: float, behind: float, tolerated: float, words: str) -> list["Happening"]:
        pace = self.stages[name].pace
        began_s = pace.since_s
        change = pace.take(now_s, behind, tolerated=tolerated)
        if change is PaceChange.FELL_BEHIND and pace.since_s is not None:
            text = f"{name} does not keep up since {clock(pace.since_s)}: {words} and growing"
            return [Happening(now_s, text, Tone.BAD)]
        if change is PaceChange.CAUGHT_UP and began_s is not None:
            text = f"{name} has caught up: it did not keep up for {duration(now_s - began_s)}"
            return [Happening(now_s, text, Tone.GOOD)]
        return []

    def slow(self) -> dict[str, float]:
        """The stages at work that do not keep up, in the order in which records pass them, each with since when."""
        return {
            name: figures.pace.since_s
            for name, figures in self.stages.items()
            if figures.pace.since_s is not None and figures.state != "stopped"
        }

    def day_minutes(self) -> int:
        """Over how many minutes the change of the last 24 hours goes, for the symbol that has most of them; 0: none."""
        windows = [figures.ticker.windows.get("24h") for figures in self.symbols.values() if figures.ticker]
        return max((window.minutes for window in windows if window), default=0)

    def take_marker(self, key: str, complete_until_us: int) -> None:
        """A marker of a symbol."""
        self.marked_us[key] = complete_until_us

    def take_live(self, candle: Candle) -> None:
        """The open candle of a symbol."""
        self.market_ms = max(self.market_ms, candle.open_time_ms)
        symbol = self.symbols.setdefault(candle.key, SymbolFigures(candle))
        if candle.open_time_ms >= symbol.candle.open_time_ms:
            symbol.candle = candle

    def take_closed(self, at_s: float, candle: Candle) -> None:
        """A closed 1m candle; one of a minute that had one is a revision."""
        self.candles += 1
        self.market_ms = max(self.market_ms, candle.close_time_ms + 1)
        symbol = self.symbols.setdefault(candle.key, SymbolFigures(candle))
        if candle.open_time_ms >= symbol.candle.open_time_ms:
            symbol.candle = candle
        if candle.open_time_ms <= symbol.newest_closed_ms:
            self.revisions += 1
            self.say(at_s, f"{candle.symbol} {clock(candle.open_time_ms / 1000)[:5]} revised: {candle.status.value}")
        symbol.newest_closed_ms = max(symbol.newest_closed_ms, candle.open_time_ms)

    def take_ticker(self, ticker: Ticker) -> None:
        """Rolling statistics of a symbol; of no use before its first candle."""
        if symbol := self.symbols.get(ticker.key):
            symbol.ticker = ticker

    def take_feed_event(self, event: FeedEvent) -> None:
        """A connection, a gap, a hole."""
        kind = event.event
        self.gaps.take(kind)
        self.say(event.at_ms / 1000, _feed_text(event), _TONES.get(kind, Tone.CALM))


_COMMON = frozenset(
    {"event", "level", "timestamp", "stage", "records", "records_per_s", "unread", "newest_age_ms", "logger"}
)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _feed_text(event: FeedEvent) -> str:
    text = f"{event.symbol} {event.event.value.replace('_', ' ')}"
    if event.first_id is not None:
        last = f"…{event.last_id}" if event.last_id not in (None, event.first_id) else ""
        text += f", trades {event.first_id}{last}"
    return f"{text}: {event.reason}" if event.reason else text
