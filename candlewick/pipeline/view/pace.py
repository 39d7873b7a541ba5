"""Whether a stage keeps up with its input, told from how far behind it was of late. Pure: time is an argument."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

WINDOW_S = 10.0
"""Twice as long as candles and sinks take between two commits: within it each of them is at its least once."""


class PaceChange(StrEnum):
    """A turn worth telling."""

    FELL_BEHIND = "fell behind"
    CAUGHT_UP = "caught up"


@dataclass
class StagePace:
    """How far behind a stage is, in records or seconds; samples of two windows are kept.

    A stage that works in batches is behind and not behind in turns. So what counts is the least that it was behind
    within a window.
    """

    since_s: float | None = None
    """Since when it does not keep up; None: it does."""
    _samples: deque[tuple[float, float]] = field(default_factory=deque)

    def take(self, now_s: float, behind: float, *, tolerated: float) -> PaceChange | None:
        """It is `behind` now. `tolerated` is how much of that says nothing.

        - `FELL_BEHIND`: more than tolerated for a whole window, and more than in the window before.
        - `CAUGHT_UP`: it had fallen behind, and is behind no more than tolerated.
        - None: nothing has changed.
        """
        self._samples.append((now_s, behind))
        while self._samples[0][0] < now_s - 2 * WINDOW_S:
            self._samples.popleft()
        if behind <= tolerated:
            if self.since_s is None:
                return None
            self.since_s = None
            return PaceChange.CAUGHT_UP
        if self.since_s is not None or self._samples[0][0] > now_s - 1.5 * WINDOW_S:
            return None
        newer = [sample for sample in self._samples if sample[0] > now_s - WINDOW_S]
        older = [sample for sample in self._samples if sample[0] <= now_s - WINDOW_S]
        least_before_s, least_before = min(older, key=lambda sample: (sample[1], -sample[0]))
        least = min(behind for _, behind in newer)
        if least <= tolerated or least - least_before < tolerated / 10:
            return None
        self.since_s = least_before_s
        return PaceChange.FELL_BEHIND
