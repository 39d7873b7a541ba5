"""Which conditions hold: begun at one threshold, ended at a lower one. Pure.

All is forgotten at each UTC midnight, so that a restart finds out what holds from the log of one day.
"""

from market.signal import Severity, SignalState
from processors.signals.rules import Thresholds

_SEVERITIES = tuple(Severity)


class Conditions:
    """The conditions of one kind that hold now: each of a market, with regard to another one or to none."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._holding: dict[tuple[str, str | None], int] = {}
        """With the greatest severity so far."""

    def clear(self) -> None:
        """A new day begins."""
        self._holding.clear()

    def step(self, market: str, other: str | None, level: float) -> tuple[SignalState, Severity] | None:
        """What is to be told now that the condition has this level; None: nothing.

        Four cases: it holds newly; it still holds, and more severely than before; it ended; nothing changed.
        """
        thresholds = self._thresholds
        if level < thresholds.enter and not self._holding:
            return None  # the usual case by far
        before = self._holding.get((market, other))
        if level < thresholds.enter and before is None:
            return None
        if before is not None and level <= thresholds.leave:
            del self._holding[market, other]
            return SignalState.END, _SEVERITIES[before]
        rank = (level >= thresholds.warning) + (level >= thresholds.critical)
        if before is not None and rank <= before:
            return None
        self._holding[market, other] = rank
        return SignalState.BEGIN, _SEVERITIES[rank]
