"""The outcome of a verification: counts, and the first differences by name."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

MAX_NAMED = 20


class FindingKind(StrEnum):
    """What is wrong with a record."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    DIFFERENT = "different"


@dataclass
class Findings:
    """Counts of what was compared with the record; `named` has the first `MAX_NAMED` differences as sentences."""

    trades: int = 0
    candles: int = 0
    longer: int = 0
    """Candles of the other timeframes."""
    timeframes: set[str] = field(default_factory=set)
    """Those that had a whole window."""
    tickers: int = 0
    """Those that are not live."""
    live_tickers: int = 0
    """Live ones that are what an open candle and the minutes before it give."""
    untold_tickers: int = 0
    """Live ones of which the log cannot tell, because open candles have left it."""
    scores: int = 0
    """Signals of volume and return that are what the minutes before give."""
    unsure_scores: int = 0
    """Those of which the log is not sure which minutes stood before."""
    stored: dict[str, Counter[str]] = field(default_factory=dict)
    """Store → records in it, by kind, that were held against the log's."""
    bars: int | None = None
    """None: no bars were asked for."""
    redelivered: int = 0
    """Trades at a second offset of the log: harmless, but without faults there are none."""
    asked: int = 0
    """Questions that the API answered."""
    lost: int = 0
    """Trades that the source had and never gave."""
    lost_minutes: int = 0
    """Minutes that lack such trades."""
    lost_complete: int = 0
    """Those of the minutes that say `complete`; none may."""
    young: int = 0
    """Symbols that have no whole minute yet, in a run that was too short or too slow for one."""
    counts: dict[FindingKind, int] = field(default_factory=lambda: dict.fromkeys(FindingKind, 0))
    named: list[str] = field(default_factory=list)

    def add(self, kind: FindingKind, what: str) -> None:
        """Count a difference, and name it while there is room."""
        self.counts[kind] += 1
        if len(self.named) < MAX_NAMED:
            self.named.append(f"{kind.value}: {what}")

    def count_stored(self, store: str, kind: str) -> None:
        """Count a record of a store that was held against the log's."""
        self.stored.setdefault(store, Counter())[kind] += 1

    @property
    def more(self) -> int:
        """Differences that are counted but not named."""
        return sum(self.counts.values()) - len(self.named)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong, and there was something to compare, or could not be yet."""
        return not self.named and (self.is_too_early or (self.trades > 0 and self.candles > 0))

    @property
    def is_too_early(self) -> bool:
        """Whether the run was too short for any whole minute."""
        return self.young > 0 and self.candles == 0

    def asked_line(self) -> str:
        """The line that tells that the API was asked."""
        return f"the API answered {_counted(self.asked, 'question')} about the same"

    def lost_line(self) -> str:
        """The line that tells what the source lost; empty where it lost nothing."""
        if not self.lost:
            return ""
        complete = f"{self.lost_complete:,}" if self.lost_complete else "none"
        trades, minutes = _counted(self.lost, "trade"), _counted(self.lost_minutes, "minute")
        return f"lost by the source: {trades} in {minutes}, {complete} of them complete"

    def young_line(self) -> str:
        """The line that tells how many symbols could not be verified yet; empty where all were, or none."""
        if not self.young or self.is_too_early:
            return ""
        return f"too early to verify {_counted(self.young, 'symbol')}: no whole minute of market time yet"

    def stored_lines(self) -> Iterator[str]:
        """The lines that tell which records of the stores were held against the log's."""
        for store, counts in self.stored.items():
            yield f"in {store} as in the log: " + ", ".join(_counted(count, kind) for kind, count in counts.items())

    def live_line(self) -> str:
        """The line that tells which live tickers were computed anew; empty where there were none."""
        if not self.live_tickers and not self.untold_tickers:
            return ""
        untold = f", {self.untold_tickers:,} not told by the log" if self.untold_tickers else ""
        return f"live: {_counted(self.live_tickers, 'ticker')} as the open candles say{untold}"

    def scores_line(self) -> str:
        """The line that tells which signals were computed anew; empty where none was."""
        if not self.scores and not self.unsure_scores:
            return ""
        unsure = f", {self.unsure_scores:,} not told by the log" if self.unsure_scores else ""
        return f"signals: {_counted(self.scores, 'score')} as the minutes before say{unsure}"

    def summary(self) -> str:
        """The one line that tells the outcome."""
        if self.right and self.is_too_early:
            return (
                "nothing to verify yet: the run was too short for a whole minute of market time; "
                "a later run goes on from there"
            )
        counts = ", ".join(f"{count} {kind.value}" for kind, count in self.counts.items())
        word = "verified" if self.right else "NOT verified"
        return f"{word}: {self.trades} trades, {self.candles} candles, {self._rolled()}, {counts}"

    def _rolled(self) -> str:
        bars = "" if self.bars is None else f", {self.bars} bars"
        return f"{self.longer} candles of {len(self.timeframes)} longer timeframes, {self.tickers} tickers{bars}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
