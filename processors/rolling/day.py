"""One UTC day of a market: its minutes, the newest revision of each, and the sums of its whole hours.

Every window up to a day lies in one UTC day. So a day is the unit that is read back from the log and released. Its
hours are kept for longer than its minutes: the sliding 7 d are made of them.
"""

from collections.abc import Sequence

from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from processors.rolling.block import Block
from processors.rolling.sums import Sum, joined

DAY_HOURS = DAY_MS // HOUR_MS
HOUR_MINUTES = HOUR_MS // MINUTE_MS
NO_MINUTES, NO_HOURS = Block(HOUR_MINUTES), Block(DAY_HOURS)


class Day:
    """The minutes of one market and day, by their number from midnight (0 to 1439), and its whole hours."""

    __slots__ = ("_changed", "_hours", "_minutes", "kept_from")

    def __init__(self, kept_from: int = 0, hours: bytes | None = None) -> None:
        self.kept_from = kept_from
        """The hour from which all minutes are here that the log holds; before it, hours only."""
        self._minutes: dict[int, Block] = {}
        self._hours = Block(DAY_HOURS, hours)
        self._changed = 0
        """Hours whose sums are older than their minutes, as bits."""

    def minutes(self, hour: int) -> Block | None:
        """The minutes of an hour; None if there are none."""
        return self._minutes.get(hour)

    def put(self, minute: int, value: Sum) -> Block | None:
        """Put a minute in. Returns the block of its hour; None if nothing changes, as in `Block.put`."""
        hour, place = divmod(minute, HOUR_MINUTES)
        block = self._minutes.get(hour)
        if block is None:
            self._sum_up(hour - 1)  # it is open now; later it would have to be unpacked for this
            block = self._minutes[hour] = Block(HOUR_MINUTES)
        if not block.put(place, value):
            return None
        self._changed |= 1 << hour
        return block

    def fill(self, hour: int, packed: bytes, whole: Sum | None) -> bool:
        """Put an hour's minutes in, packed, and their sum if known. False: there are some, and nothing is done."""
        if hour in self._minutes:
            return False
        self._minutes[hour] = Block(HOUR_MINUTES, packed)
        if whole is None:
            self._changed |= 1 << hour
        else:
            self._hours.put(hour, whole)
        return True

    def put_hour(self, hour: int, value: Sum) -> None:
        """Put the sum of a whole hour in, whose minutes are not here."""
        self._hours.put(hour, value)

    def hours(self) -> Block:
        """The sums of the hours whose minutes are all there."""
        if self._changed:
            for hour in self._minutes:
                self._sum_up(hour)
        return self._hours

    def _sum_up(self, hour: int) -> None:
        """Bring the sum of an hour up to its minutes; a packed block of them is packed again."""
        if hour < 0 or not self._changed >> hour & 1:
            return
        block = self._minutes[hour]
        is_open = block.is_open
        if (parts := whole_parts(block.places)) is not None:
            self._hours.put(hour, joined(parts))
        if not is_open:
            block.pack()
        self._changed &= ~(1 << hour)

    def blocks(self) -> list[Block]:
        """All blocks."""
        return [*self._minutes.values(), self._hours]

    def forget_minutes(self, before: int) -> None:
        """Keep only the sums of the hours before this one."""
        if before > self.kept_from:
            self.hours()
            self.kept_from = before
            self._minutes = {hour: block for hour, block in self._minutes.items() if hour >= before}


def whole_parts(places: Sequence[Sum | None]) -> list[Sum] | None:
    """These sums, or None if one is missing."""
    # Nearly always the last one is missing: windows fill in the order of time.
    return None if places[-1] is None or None in places else list(places)  # type: ignore[arg-type]
