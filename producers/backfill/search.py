"""Where history begins for a time: the last trade before it, searched page by page. Pure.

No exchange that pages by id can be asked for a time. But ids and times rise together, so each page says on which side
of it the time lies, and the rate of trades between the two sides where to ask next. For exchanges that page by time,
each guess carries a time too, which by itself leads there, or to a trade shortly before it.

The cost, in pages of 1,000 of a simulated market whose rate changes much: 11 requests on average among 14 thousand
million ids, 2 among four million; 26 at most, of forty tries. One, if the log knows a trade that is near.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.trade import Trade
from runtime.errors import UnavailableError

MOST_PROBES = 100
_FIRST_BACK_US = 60_000_000
_FURTHER_BACK = 8
_BY_HALVES_FROM = 40


class KnownTrade(NamedTuple):
    """A trade by its id, and its time or one that is no later."""

    number: int
    time_us: int


class TradeSearch:
    """The search for the last trade before `time_us`.

    `behind` is a trade at or after that time, `before` one before it, if one is known. `page_trades` is the most that a
    page holds.
    """

    def __init__(self, time_us: int, *, behind: KnownTrade, before: KnownTrade | None, page_trades: int) -> None:
        self.before = before
        """The last known trade before the time; once the search is done, the last of all. None: there is none."""
        self.behind = behind
        """The first known trade at or after the time."""
        self.probes = 0
        self._time_us = time_us
        self._page_trades = page_trades
        self._floor = -1
        """There is nothing to be had up to this id."""
        self._ceiling = behind.number
        """The trade that is searched for has a lower id than this."""
        self._back_us = _FIRST_BACK_US
        self._is_stuck = False
        self._is_done = False
        self._stays = 0
        """How many pages in a row left the late side (greater than 0) or the early one where it was."""

    def next_probe(self) -> KnownTrade | None:
        """The trade to ask a page from; None: the search is done. `UnavailableError`: its answers lead nowhere."""
        low = self._floor if self.before is None else self.before.number
        if self._is_done or self._ceiling <= low + 1:
            return None
        if self.probes >= MOST_PROBES:
            raise UnavailableError(
                f"{MOST_PROBES} pages did not lead to the trades of a time: ids and times do not rise together"
            )
        self.probes += 1
        earliest_us = max(0, self._time_us - self._back_us)
        if self.before is None and self._floor < 0:
            return KnownTrade(0, earliest_us if self.probes == 1 else 0)
        if self.before is None:
            return KnownTrade((low + self._ceiling) // 2, earliest_us)
        return KnownTrade(self._guess(self.before), max(self.before.time_us, earliest_us))

    def take(self, probe: KnownTrade, trades: Sequence[Trade]) -> None:
        """Take the page that begins with the probe, in the order of ids."""
        known = [KnownTrade(int(trade.trade_id), trade.time_us) for trade in trades]
        early = [trade for trade in known if trade.time_us < self._time_us]
        late = [trade for trade in known if trade.time_us >= self._time_us]
        if early:
            self._take_early(early[-1], crosses=bool(late))
        elif late:
            self._take_late(probe)
        else:
            self._take_nothing(probe)
        if late and late[0].number < self._ceiling:
            self.behind, self._ceiling = late[0], late[0].number

    def _take_early(self, last: KnownTrade, *, crosses: bool) -> None:
        self._is_stuck = self.before is not None and last.number <= self.before.number
        self.before = last if self.before is None else max(self.before, last)
        self._is_done = crosses and self.before == last
        self._stays = max(0, self._stays) + 1

    def _take_late(self, probe: KnownTrade) -> None:
        """A page that begins after the time: the trade that is searched for has a lower id than was asked from.

        By id, the very first page is the beginning of all history. By time, it says nothing of what lies further back:
        only if no time at all gives an earlier trade, there is none.
        """
        if self.before is None and self._floor < 0:
            self._is_done = probe.time_us == 0
        elif self.before is not None and probe.number <= self.before.number:
            self._is_done = probe.time_us <= self.before.time_us
        else:
            self._ceiling = min(self._ceiling, probe.number)
        self._back_us *= _FURTHER_BACK
        self._stays = min(0, self._stays) - 1

    def _take_nothing(self, probe: KnownTrade) -> None:
        """A page without trades.

        Before any trade is known, it is from before all history. Else the exchange has left ids out there: the search
        goes on below. If that is wrong, it ends with an earlier trade than the last, and only more pages are read.
        """
        if self.before is None:
            self._floor = max(self._floor, probe.number)
        else:
            self._ceiling = min(self._ceiling, max(probe.number, self.before.number + 1))
        self._is_stuck = True

    def _guess(self, before: KnownTrade) -> int:
        """The id to ask from next: the known one itself, if the page from there may reach the time.

        The rate of trades between the two sides tells where the time should lie. By itself that comes nearer from one
        side only, so the other side counts for half as much each time that it stays (the "Illinois" rule).
        """
        ids, page = self._ceiling - before.number, self._page_trades
        if self._is_stuck or self.probes > _BY_HALVES_FROM:
            return before.number + max(1, ids // 2)
        early_us = max(0, self._time_us - before.time_us) >> max(0, -self._stays - 1)
        late_us = max(1, self.behind.time_us - self._time_us) >> max(0, self._stays - 1)
        ahead = ids * early_us // max(1, early_us + late_us) - page // 2
        return before.number if ahead < page // 2 else before.number + min(ahead, ids - 1)
