"""What a question can end with instead of an answer, whoever it was asked of."""

from collections.abc import Collection

from serving.lengths import CandleLength
from serving.planner import Tier


class NoTierError(Exception):
    """Every tier that could have answered is away."""

    def __init__(self, away: Collection[Tier]) -> None:
        names = ", ".join(tier for tier in Tier if tier in away)
        super().__init__(f"no tier can answer now: {names} away")


class TooMuchError(Exception):
    """More than is put together for one answer. The sentence says how to get it."""

    def __init__(self, minutes: int, most: int, length: CandleLength) -> None:
        limit = max(1, most // (length.minutes(length.open_ms(0))))
        super().__init__(
            f"that needs {minutes} minutes to be added up, and one answer takes {most}: ask with limit={limit}, and go "
            "on from next_from_ms"
        )
        self.limit = limit


class TooSparseError(Exception):
    """Too many holes would have to be stepped over for one answer. The sentence says how to get it."""
