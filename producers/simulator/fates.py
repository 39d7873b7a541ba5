"""What becomes of a market's ids that not every source gives, and what each client was really given.

Some fates are set by a fault, for ids that come next. Two are *noted* when they happen, and only where no connection
that was open at that moment had carried the id:

- `REFUSED`: REST was asked for the id and answered that it no longer has it, or gave a row that cannot be read.
- `PASSED_OVER`: REST gave the ids before and after it side by side, without it.

A connection that carries the id later, or a page that gives it, takes both back. So in the end the notes are the ids
that a client may lack without a fault of its own, and why.
"""

from collections.abc import Hashable, Iterable
from enum import StrEnum

from producers.simulator.ids import IdRange, IdSet


class Fate(StrEnum):
    """What becomes of an id."""

    WITHHELD = "withheld"
    """The id exists, but no stream carries it, and REST fails on it."""
    JUMPED = "jumped"
    """The exchange left this id out: there is no such trade."""
    LACKING = "lacking"
    """Streams carry it; pages of REST leave it out without a word."""
    SPOILED = "spoiled"
    """Every source gives it with price or quantity 0."""
    RETOLD = "retold"
    """REST gives it with another price than the streams."""
    REFUSED = "refused"
    PASSED_OVER = "passed_over"
    RESET = "reset"
    """The first id after a reset (only reported; an archive keeps its resets itself)."""


class Fates:
    """The fates of one market's ids."""

    def __init__(self) -> None:
        self._of = {fate: IdSet() for fate in Fate}
        self._carried: dict[Hashable, IdSet] = {}
        self._asks_left: dict[IdRange, int] = {}

    def __getitem__(self, fate: Fate) -> IdSet:
        return self._of[fate]

    def add(self, fate: Fate, ids: IdRange) -> None:
        """Give ids a fate."""
        self._of[fate].add(ids.first, ids.last)

    def lack(self, ids: IdRange, asks: int) -> None:
        """Let pages of REST leave ids out: the next `asks` pages that reach them; 0: all pages."""
        self.add(Fate.LACKING, ids)
        if asks:
            self._asks_left[ids] = asks

    def asked(self, first: int, last: int) -> None:
        """Count a page over these ids: ids that only a few pages leave out come back after those."""
        for ids, left in list(self._asks_left.items()):
            if ids.first > last or ids.last < first:
                continue
            self._asks_left[ids] = left - 1
            if left == 1:
                del self._asks_left[ids]
                self._of[Fate.LACKING].discard(ids.first, ids.last)

    def carry(self, connection: Hashable, trade_id: int) -> None:
        """Note that a connection carries a trade."""
        self._carried.setdefault(connection, IdSet()).add(trade_id, trade_id)
        self.give(trade_id, trade_id)

    def give(self, first: int, last: int) -> None:
        """Note that these ids are given: earlier notes of them are taken back."""
        for fate in (Fate.REFUSED, Fate.PASSED_OVER):
            if self._of[fate]:
                self._of[fate].discard(first, last)

    def note(self, fate: Fate, first: int, last: int) -> None:
        """Note that these ids were asked for and not given, except those that an open connection has carried."""
        left: Iterable[IdRange] = [IdRange(first, last)]
        for carried in self._carried.values():
            left = [part for ids in left for part in carried.missing(ids.first, ids.last)]
        for ids in left:
            self.add(fate, ids)

    def end(self, connection: Hashable) -> None:
        """A connection has ended: forget what it carried, which may never have arrived."""
        self._carried.pop(connection, None)
