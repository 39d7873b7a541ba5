"""What is known of a run at the moment: stages, symbols, and what happened of late. Pure: time is an argument."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from candlewick.health.gaps import Gaps
from market.candle import Candle
from market.feed import FeedEvent, FeedEventKind
from market.ticker import Ticker

MAX_HAPPENINGS = 100


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
    """A stage's newest progress line. Figures of earlier processes of the stage are kept in `before`."""

    state: str = "starting"
    restarts: int = 0
    records: int = 0
    records_per_s: float = 0.0
    lag: int | None = None
    newest_age_ms: int | None = None
    own: dict[str, Any] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """One of the stage's own counts, over all its processes in this run."""
        return self.before.get(name, 0) + _count(self.own.get(name))

    def total_records(self) -> int:
        """Records handled, over all its processes in this run."""
        return self.before.get("records", 0) + self.records

    def carry_over(self) -> None:
        """A new process counts from zero: keep what the last one counted."""
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
    market_ms: int = 0
    """Greatest market time seen, UTC milliseconds."""

    def say(self, at_s: float, text: str, tone: Tone = Tone.CALM) -> None:
        """Something happened."""
        self.happenings.append(Happening(at_s, text, tone))

    def take_progress(self, stage: str, entry: Mapping[str, Any]) -> None:
        """A progress line of a stage."""
        figures = self.stages.setdefault(stage, StageFigures())
        figures.state = "running"
        figures.records = _count(entry.get("records"))
        figures.records_per_s = float(entry.get("records_per_s") or 0.0)
        figures.lag, figures.newest_age_ms = entry.get("lag"), entry.get("newest_age_ms")
        figures.own = {name: value for name, value in entry.items() if name not in _COMMON}

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
            self.say(at_s, f"{candle.symbol} {_minute(candle.open_time_ms)} revised: {candle.status.value}")
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
    {"event", "level", "timestamp", "stage", "records", "records_per_s", "lag", "newest_age_ms", "logger"}
)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _minute(time_ms: int) -> str:
    minutes = time_ms // 60_000
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _feed_text(event: FeedEvent) -> str:
    text = f"{event.symbol} {event.event.value.replace('_', ' ')}"
    if event.first_id is not None:
        last = f"…{event.last_id}" if event.last_id not in (None, event.first_id) else ""
        text += f", trades {event.first_id}{last}"
    return f"{text}: {event.reason}" if event.reason else text
