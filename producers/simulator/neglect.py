"""Subscriptions that a connection does not honour: taken and then silent, or not taken."""

from random import Random

from producers.simulator.faults import FaultPlan


class Neglect:
    """What one connection withholds, decided as it opens.

    A silent connection acknowledges every subscription, and then carries nothing of half of its symbols (drawn for each
    by itself) or, every second time, of all. A partial one does not take about half of its symbols.
    """

    def __init__(self, plan: FaultPlan, seed: int, connection: int) -> None:
        self._plan = plan
        self._random = Random(f"{seed} neglect {connection}")
        chance = self._random.random()
        self._is_silent = chance < plan.faults.silent
        self._is_partial = not self._is_silent and chance - plan.faults.silent < plan.faults.partial
        self._share = 1.0 if self._is_silent and self._random.random() < 0.5 else 0.5  # noqa: PLR2004  # see above
        self._verdicts: dict[str, bool] = {}

    def leaves_out(self, symbol: str) -> bool:
        """Whether the exchange does not take a subscription to this symbol."""
        return self._is_partial and self._verdict(symbol, "left_out")

    def silences(self, symbol: str) -> bool:
        """Whether nothing ever comes of a subscription to this symbol."""
        return self._is_silent and self._verdict(symbol, "silenced")

    def _verdict(self, symbol: str, name: str) -> bool:
        verdict = self._verdicts.get(symbol)
        if verdict is None:
            verdict = self._verdicts[symbol] = self._random.random() < self._share
            self._plan.done[name] += verdict
        return verdict
