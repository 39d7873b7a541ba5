"""REST's pages of trades, their faults, and the note of what they did not give.

Faults may:

- make the history short: older trades are gone for good, and a page from one of them begins with the first one left;
- leave out rows in the middle, end a full page early, mix its rows, repeat some, or break one;
- tell another price than the streams.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from msgspec import structs

from producers.simulator.archive import Archive
from producers.simulator.fates import Fate
from producers.simulator.faults import FaultPlan
from producers.simulator.history import Match
from producers.simulator.payloads import trade_row


class Pages:
    """Makes the pages of one exchange."""

    def __init__(self, plan: FaultPlan, seed: int) -> None:
        self._plan = plan
        self._random = Random(f"{seed} pages")

    def newest(self, archive: Archive, limit: int, now_ms: int, unit: int) -> list[str]:
        """The rows of the `limit` newest trades."""
        return self._rows(archive, archive.newest(limit, now_ms), unit)

    def from_id(self, archive: Archive, from_id: int, limit: int, now_ms: int, unit: int) -> list[str]:
        """The rows of at most `limit` trades from an id on."""
        matches = archive.matches_from(max(from_id, self._first_kept(archive, now_ms)), limit, now_ms)
        if len(matches) == limit and limit > 1 and self._happens(self._plan.faults.truncated, "pages_truncated"):
            matches = matches[: 1 + self._random.randrange(limit - 1)]
        if self._plan.noting:
            self._note(archive, from_id, matches, now_ms)
        if matches:
            archive.fates.asked(matches[0].trade_id, matches[-1].trade_id)
        return self._rows(archive, matches, unit)

    def _first_kept(self, archive: Archive, now_ms: int) -> int:
        kept_s = self._plan.faults.short_history
        if not kept_s:
            return 0
        return archive.first_since(now_ms - int(kept_s * 1_000), now_ms) or 0

    def _note(self, archive: Archive, from_id: int, matches: Sequence[Match], now_ms: int) -> None:
        fates, done = archive.fates, self._plan.done
        if not matches:
            newest = archive.newest(1, now_ms)
            if newest and from_id <= newest[-1].trade_id:  # every row is left out
                fates.note(Fate.REFUSED, from_id, newest[-1].trade_id)
            return
        if from_id < matches[0].trade_id:
            done["refused"] += 1
            fates.note(Fate.REFUSED, from_id, matches[0].trade_id - 1)
        for earlier, later in pairwise(matches):
            if later.trade_id > earlier.trade_id + 1:
                done["passed_over"] += 1
                fates.note(Fate.PASSED_OVER, earlier.trade_id + 1, later.trade_id - 1)

    def _rows(self, archive: Archive, matches: Sequence[Match], unit: int) -> list[str]:
        faults, fates = self._plan.faults, archive.fates
        told = [archive.spoiled(retold(archive, match)) for match in matches]
        rows = [trade_row(archive.instrument, match, unit) for match in told]
        broken = -1
        if rows and self._happens(faults.broken_row, "rows_broken"):
            broken = self._random.randrange(len(rows))
            rows[broken] = rows[broken].replace('"price":"', '"price":"?', 1)
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
