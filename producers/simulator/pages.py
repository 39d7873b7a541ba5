"""REST's pages of trades, their faults, and the note of what they did not give.

Faults may:

- make the history short: older trades are gone for good, and a page from one of them begins with the first one left;
- leave out rows in the middle, end a full page early, mix its rows, repeat some, or break one;
- tell another price than the streams;
- know only what happened until some seconds ago.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from msgspec import structs

from producers.simulator.archive import Archive
from producers.simulator.fates import Fate
from producers.simulator.faults import FaultPlan
from producers.simulator.history import Match


class RowForm(NamedTuple):
    """How a protocol writes a trade in a page; behind `price_opening` its price follows."""

    write: Callable[[Match], str]
    price_opening: str


class Pages:
    """Makes the pages of one exchange."""

    def __init__(self, plan: FaultPlan, seed: int, speed: float = 1.0) -> None:
        self._plan = plan
        self._speed = speed
        self._random = Random(f"{seed} pages")

    def newest(self, archive: Archive, limit: int, now_ms: int, rows: RowForm) -> list[str]:
        """The rows of the `limit` newest trades, the oldest first (as in all pages here)."""
        return self._rows(archive, archive.newest(limit, self._known_ms(now_ms)), rows)

    def from_id(self, archive: Archive, from_id: int, limit: int, now_ms: int, rows: RowForm) -> list[str]:
        """The rows of at most `limit` trades from an id on."""
        now_ms = self._known_ms(now_ms)
        matches = archive.matches_from(max(from_id, self._first_kept(archive, now_ms)), limit, now_ms)
        return self._page(archive, self._truncated(matches, limit), (from_id, None), now_ms, rows)

    def since(self, archive: Archive, since_ms: int, limit: int, now_ms: int, rows: RowForm) -> list[str]:
        """The rows of at most `limit` trades that happened at or after a time."""
        now_ms = self._known_ms(now_ms)
        kept_s, newest = self._plan.faults.short_history, archive.newest(1, now_ms)
        first_ms = since_ms
        if kept_s and newest:
            first_ms = max(since_ms, min(now_ms - int(kept_s * 1_000), newest[-1].time_ms))
        matches = self._truncated(archive.matches_since(first_ms, limit, now_ms), limit)
        first = next((match.trade_id for match in archive.between(since_ms, now_ms + 1)), None)
        return [] if first is None else self._page(archive, matches, (first, None), now_ms, rows)

    def below_id(self, archive: Archive, below: int, limit: int, now_ms: int, rows: RowForm) -> list[str]:
        """The rows of the `limit` trades right before an id."""
        now_ms = self._known_ms(now_ms)
        first_kept = self._first_kept(archive, now_ms)
        matches = [each for each in archive.matches_below(below, limit, now_ms) if each.trade_id >= first_kept]
        matches = self._truncated(matches, limit, newest_first=True)
        first_asked = max(below - limit, 1)
        if matches and first_asked >= first_kept:
            first_asked = matches[0].trade_id  # a page that ends too early refuses nothing
        return self._page(archive, matches, (first_asked, below - 1), now_ms, rows)

    def newest_between(
        self, archive: Archive, bounds: tuple[int | None, int | None], limit: int, now_ms: int, rows: RowForm
    ) -> list[str]:
        """The rows of the `limit` newest trades whose ids lie between two ids, both left out; None: no bound."""
        above, below = bounds
        if below is not None and above is None:
            return self.below_id(archive, below, limit, now_ms, rows)
        now_ms = self._known_ms(now_ms)
        matches = archive.newest(limit, now_ms) if below is None else archive.matches_below(below, limit, now_ms)
        return self._rows(archive, [each for each in matches if each.trade_id > (above or 0)], rows)

    def _known_ms(self, now_ms: int) -> int:
        """The moment until which the cache that answers knows all."""
        lag_s = self._plan.faults.rest_lag_s
        if not lag_s:
            return now_ms
        return now_ms - int(lag_s * self._speed * 1_000 * (1 + 2 * self._random.random()) / 3)

    def _truncated(self, matches: list[Match], limit: int, *, newest_first: bool = False) -> list[Match]:
        if len(matches) == limit and limit > 1 and self._happens(self._plan.faults.truncated, "pages_truncated"):
            left = 1 + self._random.randrange(limit - 1)
            return matches[-left:] if newest_first else matches[:left]
        return matches

    def _page(
        self, archive: Archive, matches: list[Match], asked: tuple[int, int | None], now_ms: int, rows: RowForm
    ) -> list[str]:
        if self._plan.noting:
            self._note(archive, *asked, matches, now_ms)
        if matches:
            archive.fates.asked(matches[0].trade_id, matches[-1].trade_id)
        return self._rows(archive, matches, rows)

    def _first_kept(self, archive: Archive, now_ms: int) -> int:
        kept_s = self._plan.faults.short_history
        if not kept_s:
            return 0
        return archive.first_since(now_ms - int(kept_s * 1_000), now_ms) or 0

    def _note(self, archive: Archive, from_id: int, last_id: int | None, matches: Sequence[Match], now_ms: int) -> None:
        """Note which of the ids asked for (`last_id` None: to the newest) the page of `matches` does not give."""
        fates, done = archive.fates, self._plan.done
        if not matches:
            newest = archive.newest(1, now_ms)
            last = newest[-1].trade_id if newest else 0
            if from_id <= min(last, last_id or last):  # every row is left out
                fates.note(Fate.REFUSED, from_id, min(last, last_id or last))
            return
        if from_id < matches[0].trade_id:
            done["refused"] += 1
            fates.note(Fate.REFUSED, from_id, matches[0].trade_id - 1)
        for earlier, later in pairwise(matches):
            if later.trade_id > earlier.trade_id + 1:
                done["passed_over"] += 1
                fates.note(Fate.PASSED_OVER, earlier.trade_id + 1, later.trade_id - 1)

    def _rows(self, archive: Archive, matches: Sequence[Match], how: RowForm) -> list[str]:
        faults, fates = self._plan.faults, archive.fates
        rows = [how.write(archive.spoiled(retold(archive, match))) for match in matches]
        broken = -1
        if rows and self._happens(faults.broken_row, "rows_broken"):
            broken = self._random.randrange(len(rows))
            rows[broken] = rows[broken].replace(how.price_opening, how.price_opening + "?", 1)
        if self._plan.noting:
            for index, match in enumerate(matches):
                if index == broken:
                    fates.note(Fate.REFUSED, match.trade_id, match.trade_id)
                else:
                    fates.give(match.trade_id, match.trade_id)
        if rows and self._happens(faults.repeated, "pages_repeating"):
            index = self._random.randrange(len(rows))
            rows[index:index] = rows[max(0, index - 2) : index + 1]
        if rows and self._happens(faults.disordered, "pages_disordered"):
            self._random.shuffle(rows)
        return rows

    def _happens(self, share: float, name: str) -> bool:
        if not share or self._random.random() >= share:
            return False
        self._plan.done[name] += 1
        return True


def retold(archive: Archive, match: Match) -> Match:
    """A trade as REST gives it: a retold one has a price one tick higher than in the streams."""
    if match.trade_id not in archive.fates[Fate.RETOLD]:
        return match
    return structs.replace(match, ticks=match.ticks + 1)
