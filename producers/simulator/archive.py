"""What can be looked up of a market at a moment: trades and aggregates by id, by time, the newest; less what is amiss.

A *withheld* id is one that neither stream nor REST gives. A look-up ends before it, and one that would begin with it
(or has only one row before it) fails as the exchange's own database would: the id exists, it cannot be had. Klines
still count its trade. A *jumped* id never was a trade's. See `fates` for the others.

Ids may begin anew (a *reset*): from then on trades are told under lower ids, and those before cannot be asked for.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct, structs

from market.timeframe import MINUTE_MS
from producers.simulator.fates import Fate, Fates
from producers.simulator.history import Match, TradeHistory
from producers.simulator.ids import IdRange

_LEAST_TO_RESET = 1_000
_EXCEPTIONS = (Fate.WITHHELD, Fate.SPOILED, Fate.RETOLD, Fate.REFUSED, Fate.PASSED_OVER)


class WithheldError(Exception):
    """The look-up begins with an id that is withheld."""


class Reset(Struct, frozen=True):
    """From `first` of the history's own ids on, trades are told under ids that are lower by `less`."""

    first: int
    less: int


class Aggregate(Struct, frozen=True, gc=False):
    """One aggregate trade: the trades of one taker order at one price."""

    aggregate_id: int
    ticks: int
    lots: int
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool


class Archive:
    """One market's history as far as it has happened, under the ids that the exchange tells."""

    def __init__(self, history: TradeHistory) -> None:
        self.history = history
        self.instrument = history.instrument
        self.fates = Fates()
        self.resets: list[Reset] = []

    def minute(self, minute: int) -> Sequence[Match]:
        """The trades of a minute in order of time, withheld and spoiled ones among them."""
        return self._told(self.history.minute(minute))

    def carried(self, minute: int) -> Sequence[Match]:
        """The trades of a minute as the streams carry them."""
        rows = self.minute(minute)
        if self.fates[Fate.WITHHELD]:
            rows = [match for match in rows if not self.is_withheld(match.trade_id)]
        if self.fates[Fate.SPOILED]:
            rows = [self.spoiled(match) for match in rows]
        return rows

    def is_kept(self, trade_id: int) -> bool:
        """Whether there is a trade of this id to be had in good order at all."""
        return not self.is_withheld(trade_id) and trade_id not in self.fates[Fate.SPOILED]

    def spoiled(self, match: Match) -> Match:
        """A trade as it is told: one that is spoiled has price 0, or quantity 0 where its id is odd."""
        if match.trade_id not in self.fates[Fate.SPOILED]:
            return match
        return structs.replace(match, lots=0) if match.trade_id & 1 else structs.replace(match, ticks=0)

    def matches_from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        """At most `limit` trades from that id on, none later than `now_ms`."""
        found = self._from(trade_id, limit, now_ms)
        hole = next((at for at, match in enumerate(found) if self.is_withheld(match.trade_id)), len(found))
        if hole <= 1 and hole < len(found):
            raise WithheldError
        return found[:hole]

    def newest(self, limit: int, now_ms: int) -> list[Match]:
        """The `limit` newest trades, or those of them behind the newest hole."""
        found = self._newest(limit, now_ms)
        hole = next((at for at in reversed(range(len(found))) if self.is_withheld(found[at].trade_id)), -1)
        return found[hole + 1 :]

    def first_since(self, time_ms: int, now_ms: int) -> int | None:
        """The id of the first trade at or after a time, or of the newest one where all are before it."""
        newest = self._newest(1, now_ms)
        if not newest:
            return None
        last_id = newest[-1].trade_id  # those told before the ids began anew have greater ones
        kept = (match.trade_id for match in self.between(time_ms, now_ms + 1) if match.trade_id <= last_id)
        return next(kept, last_id)

    def aggregates_from(self, aggregate_id: int, limit: int, now_ms: int) -> list[Aggregate]:
        """At most `limit` aggregates from that id on, none later than `now_ms`."""
        found: list[Aggregate] = []
        while len(found) < limit:
            minute = self.history.minute_of_aggregate(aggregate_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = aggregates(self.minute(minute))
            found += [row for row in rows if row.aggregate_id >= aggregate_id and row.time_ms <= now_ms]
            aggregate_id = self.history.minute(minute)[-1].aggregate_id + 1
        return self._before_torn(found[:limit])

    def aggregates_between(self, start_ms: int, end_ms: int, limit: int) -> list[Aggregate]:
        """At most `limit` aggregates of [start, end], the earliest."""
        first = next((match for match in self.between(start_ms, end_ms + 1)), None)
        return [] if first is None else self.aggregates_from(first.aggregate_id, limit, end_ms)

    def newest_aggregates(self, limit: int, now_ms: int) -> list[Aggregate]:
        """The `limit` newest aggregates."""
        minute: int | None = now_ms // MINUTE_MS
        found: list[Aggregate] = []
        while minute is not None and len(found) < limit:
            rows = [match for match in self.minute(minute) if match.time_ms <= now_ms]
            found[:0] = aggregates(rows)
            minute = self.history.minute_before(minute)
        torn = next((at for at in reversed(range(len(found))) if self._is_torn(found[at])), -1)
        return found[torn + 1 :][-limit:]

    def between(self, start_ms: int, end_ms: int) -> Iterator[Match]:
        """The trades of [start, end), withheld and spoiled ones among them."""
        for minute in range(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)):
            for match in self.minute(minute):
                if start_ms <= match.time_ms < end_ms:
                    yield match

    def ticks_before(self, time_ms: int) -> int | None:
        """The price of the last trade before a time; None where there is none."""
        minute: int | None = time_ms // MINUTE_MS
        while minute is not None:
            before = [match for match in self.minute(minute) if match.time_ms < time_ms]
            if before:
                return before[-1].ticks
            minute = self.history.minute_before(minute)
        return None

    def next_ids(self, count: int, now_ms: int) -> IdRange:
        """The `count` ids that come after a moment."""
        newest = self._newest(1, now_ms)
        last = newest[-1].trade_id if newest else 0
        return IdRange(last + 1, last + count)

    def reset(self, now_ms: int) -> Reset | None:
        """Have ids begin anew at half of what they were, with the next trade; None where they are too low for it."""
        own_id = self._newest_own(now_ms)
        told_id = own_id - self._less(own_id)
        if told_id < _LEAST_TO_RESET:
            return None
        reset = Reset(own_id + 1, own_id - told_id // 2)
        self.resets.append(reset)
        return reset

    def exceptions(self, start_ms: int, end_ms: int) -> Iterator[tuple[Match, Fate]]:
        """Of the trades of [start, end) those that a client may lack, or get with other content, and why; see `Fate`.

        The first trade after each reset is among them: REST gives none from before it, and a client that was not
        connected cannot know where the new ids begin. So are ids that are no trades (`JUMPED`), where REST refused to
        show that: their times are those of the trades that they would be.
        """
        told = [fate for fate in _EXCEPTIONS if self.fates[fate]]
        firsts = {reset.first - reset.less for reset in self.resets}
        if not told and not firsts:
            return
        jumped, refused = self.fates[Fate.JUMPED], self.fates[Fate.REFUSED]
        for minute in range(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)):
            for match in self._renumbered(self.history.minute(minute)):
                number = match.trade_id
                if not start_ms <= match.time_ms < end_ms:
                    continue
                if number in firsts:
                    yield match, Fate.RESET
                if number in jumped:
                    if number in refused:
                        yield match, Fate.JUMPED
                    continue
                for fate in told:
                    if number in self.fates[fate]:
                        yield match, fate

    def is_withheld(self, trade_id: int) -> bool:
        """Whether neither stream nor REST gives this id."""
        return trade_id in self.fates[Fate.WITHHELD]

    def _from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        own_id = self._own(trade_id, now_ms)
        lacking, found = self.fates[Fate.LACKING], list[Match]()
        while len(found) < limit:
            minute = self.history.minute_of(own_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = self.history.minute(minute)
            told = self._told([match for match in rows if match.trade_id >= own_id and match.time_ms <= now_ms])
            found += [match for match in told if match.trade_id not in lacking] if lacking else told
            own_id = rows[-1].trade_id + 1
        return found[:limit]

    def _newest(self, limit: int, now_ms: int) -> list[Match]:
        minute: int | None = now_ms // MINUTE_MS
        found: list[Match] = []
        while minute is not None and len(found) < limit:
            found[:0] = [match for match in self.minute(minute) if match.time_ms <= now_ms]
            minute = self.history.minute_before(minute)
        return found[-limit:]

    def _told(self, rows: Sequence[Match]) -> Sequence[Match]:
        """The trades under the ids that the exchange tells, without those that it has left out."""
        rows = self._renumbered(rows)
        if jumped := self.fates[Fate.JUMPED]:
            rows = [match for match in rows if match.trade_id not in jumped]
        return rows

    def _renumbered(self, rows: Sequence[Match]) -> Sequence[Match]:
        if self.resets and rows and rows[-1].trade_id >= self.resets[0].first:
            return [structs.replace(match, trade_id=match.trade_id - self._less(match.trade_id)) for match in rows]
        return rows

    def _less(self, own_id: int) -> int:
        at = bisect_right(self.resets, own_id, key=lambda reset: reset.first)
        return self.resets[at - 1].less if at else 0

    def _own(self, trade_id: int, now_ms: int) -> int:
        """The history's own id of one that is told now; an earlier one than the newest reset's first is that first."""
        if not self.resets:
            return trade_id
        newest = self._newest_own(now_ms)
        begun = [reset for reset in self.resets if reset.first <= newest]
        return max(trade_id + begun[-1].less, begun[-1].first) if begun else trade_id

    def _newest_own(self, now_ms: int) -> int:
        minute: int | None = now_ms // MINUTE_MS
        while minute is not None:
            if found := [match.trade_id for match in self.history.minute(minute) if match.time_ms <= now_ms]:
                return found[-1]
            minute = self.history.minute_before(minute)
        return 0

    def _before_torn(self, found: list[Aggregate]) -> list[Aggregate]:
        torn = next((at for at, row in enumerate(found) if self._is_torn(row)), len(found))
        if found and not torn:
            raise WithheldError
        return found[:torn]

    def _is_torn(self, row: Aggregate) -> bool:
        return bool(self.fates[Fate.WITHHELD]) and any(map(self.is_withheld, range(row.first_id, row.last_id + 1)))


def aggregates(matches: Sequence[Match]) -> list[Aggregate]:
    """The aggregates of a minute's trades (an aggregate's trades share a time, so none spans two minutes)."""
    found = []
    for aggregate_id, group in groupby(matches, key=lambda match: match.aggregate_id):
        rows = list(group)
        first, last = rows[0], rows[-1]
        lots = sum(match.lots for match in rows)
        found.append(
            Aggregate(
                aggregate_id, first.ticks, lots, first.trade_id, last.trade_id, first.time_ms, first.buyer_is_maker
            )
        )
    return found
