"""Which conditions hold: begun at one threshold, ended at a lower one. Pure.

All is forgotten at each UTC midnight, so that a restart finds out what holds from the log of one day.
"""

from typing import NamedTuple

from market.signal import Severity, SignalState
from processors.signals.rules import Thresholds


class ConditionKey(NamedTuple):
    """A condition that may hold: a kind, of a market, with regard to another or to none."""

    kind: str
    market: str
    other: str | None


class Conditions:
    """The conditions that hold now."""

    def __init__(self) -> None:
        self._holding: dict[ConditionKey, int] = {}
        """With the greatest severity so far."""

    def clear(self) -> None:
        """A new day begins."""
        self._holding.clear()

    def step(
        self, condition: ConditionKey, level: float, thresholds: Thresholds
    ) -> tuple[SignalState, Severity] | None:
        """What is to be told now that the condition has this level; None: nothing.

        Four cases: it holds newly; it still holds, and more severely than before; it ended; nothing changed.
        """
        before = self._holding.get(condition)
        if level < thresholds.enter and before is None:
            return None
        if before is not None and level <= thresholds.leave:
            del self._holding[condition]
            return SignalState.END, _SEVERITIES[before]
        rank = (level >= thresholds.warning) + (level >= thresholds.critical)
        if before is not None and rank <= before:
            return None
        self._holding[condition] = rank
        return SignalState.BEGIN, _SEVERITIES[rank]


_SEVERITIES = tuple(Severity)
