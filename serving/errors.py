"""What a question can end with instead of an answer, whoever it was asked of. Pure."""

from collections.abc import Collection

from serving.lengths import CandleLength
from serving.planner import Tier


class NoTierError(Exception):
    """Every tier that could have answered is away."""

    def __init__(self, away: Collection[Tier]) -> None:
        names = ", ".join(tier for tier in Tier if tier in away)
        super().__init__(f"no tier can answer now: {names} away")
        self.away = frozenset(away)


class TooMuchError(Exception):
    """More than is put together for one answer. The sentence says how to get it."""

    def __init__(self, minutes: int, most: int, length: CandleLength) -> None:
        limit = max(1, most // (length.minutes(length.open_ms(0))))
        super().__init__(
            f"that needs {minutes} minutes to be added up, and one answer takes {most}: ask with limit={limit}, and go "
            "on from next_from_ms"
        )
        self.limit = limit


class TooManyRowsError(Exception):
    """More rows than are given in one answer. The sentence says how to get them."""

    def __init__(self, rows: int, most: int, until_ms: int) -> None:
        super().__init__(
            f"that is about {rows:,} rows, and one answer takes {most:,}: ask for less time, as with "
            f"until_ms={until_ms}, and go on from there"
        )
        self.until_ms = until_ms


class TooManyStreamsError(Exception):
    """As many streams as there may be are on their way."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams are on their way, and there may not be more at a time: ask again later")


class StreamBrokenError(Exception):
    """A stream that has begun cannot go on: its connection is broken, so that it does not look whole."""

    def __init__(self, away: Collection[Tier]) -> None:
        names = ", ".join(tier for tier in Tier if tier in away)
        reason = f"{names} went away" if names else "it has far more rows than were estimated"
        super().__init__(f"the stream breaks off: {reason}")
