"""What can be looked up of a market at one moment: trades and aggregates by id, by time, or the newest ones.

Neither stream nor REST gives a *withheld* id. A look-up ends before it. A look-up that would begin with it (or has only
one row before it) fails, as the exchange's own database would: the id exists, but it cannot be had. Klines still count
its trade. A *jumped* id never belonged to a trade. See `fates` for the others.

The exchange may *reset* its ids: from then on trades have lower ids, and earlier trades cannot be asked for.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby, islice

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
    """From `first` of the history's own ids on, the exchange gives trades ids that are lower by `less`."""

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
    """One market's history as far as it has happened, with the ids that the exchange gives."""

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
        """A trade as sources give it: a spoiled one has price 0, or quantity 0 where its id is odd."""
        if match.trade_id not in self.fates[Fate.SPOILED]:
            return match
        return structs.replace(match, lots=0) if match.trade_id & 1 else structs.replace(match, ticks=0)

    def matches_from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        """At most `limit` trades from that id on, none later than `now_ms`."""
        return self._before_withheld(self._from(trade_id, limit, now_ms))

    def matches_since(self, time_ms: int, limit: int, now_ms: int) -> list[Match]:
        """At most `limit` trades that happened at or after a time, none later than `now_ms`."""
        lacking = self.fates[Fate.LACKING]
        given = (match for match in self.between(time_ms, now_ms + 1) if match.trade_id not in lacking)
        return self._before_withheld(list(islice(given, limit)))

    def matches_below(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        """The `limit` trades right before that id, none later than `now_ms`; looked up from the newest down."""
        lacking, begun = self.fates[Fate.LACKING], self._own(0, now_ms)
        below = trade_id + self._less(begun)
        minute = self._minute_of_last(below, now_ms)
        known = list[Match]()
        while minute is not None and len(known) < limit:
            rows = self.history.minute(minute)
            own = [match for match in rows if begun <= match.trade_id < below and match.time_ms <= now_ms]
            known[:0] = [match for match in self._told(own) if match.trade_id not in lacking]
            minute = None if rows and rows[0].trade_id <= begun else self.history.minute_before(minute)
        return self._before_withheld(known[-limit:][::-1])[::-1]

    def newest(self, limit: int, now_ms: int) -> list[Match]:
        """The `limit` newest trades, or those of them that come after the newest withheld id."""
        matches = self._newest(limit, now_ms)
        newest_first = reversed(range(len(matches)))
        hole = next((index for index in newest_first if self.is_withheld(matches[index].trade_id)), -1)
        return matches[hole + 1 :]

    def first_since(self, time_ms: int, now_ms: int) -> int | None:
        """The id of the first trade at or after a time, or of the newest one where all are before it."""
        newest = self._newest(1, now_ms)
        if not newest:
            return None
        last_id = newest[-1].trade_id  # ids from before a reset are greater
        kept = (match.trade_id for match in self.between(time_ms, now_ms + 1) if match.trade_id <= last_id)
        return next(kept, last_id)

    def aggregates_from(self, aggregate_id: int, limit: int, now_ms: int) -> list[Aggregate]:
        """At most `limit` aggregates from that id on, none later than `now_ms`."""
        known: list[Aggregate] = []
        while len(known) < limit:
            minute = self.history.minute_of_aggregate(aggregate_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = aggregates(self.minute(minute))
            known += [row for row in rows if row.aggregate_id >= aggregate_id and row.time_ms <= now_ms]
            aggregate_id = self.history.minute(minute)[-1].aggregate_id + 1
        return self._before_torn(known[:limit])

    def aggregates_between(self, start_ms: int, end_ms: int, limit: int) -> list[Aggregate]:
        """At most `limit` aggregates of [start, end], the earliest."""
        first = next((match for match in self.between(start_ms, end_ms + 1)), None)
        return [] if first is None else self.aggregates_from(first.aggregate_id, limit, end_ms)

    def newest_aggregates(self, limit: int, now_ms: int) -> list[Aggregate]:
        """The `limit` newest aggregates."""
        minute: int | None = now_ms // MINUTE_MS
        newest: list[Aggregate] = []
        while minute is not None and len(newest) < limit:
            rows = [match for match in self.minute(minute) if match.time_ms <= now_ms]
            newest[:0] = aggregates(rows)
            minute = self.history.minute_before(minute)
        torn = next((index for index in reversed(range(len(newest))) if self._is_torn(newest[index])), -1)
        return newest[torn + 1 :][-limit:]

    def between(self, start_ms: int, end_ms: int) -> Iterator[Match]:
        """The trades of [start, end), withheld and spoiled ones among them."""
        for minute in range(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)):
            for match in self.minute(minute):
                if start_ms <= match.time_ms < end_ms:
                    yield match

    def ticks_before(self, time_ms: int) -> int | None:
        """The price of the last trade before a time; None: there is no such trade."""
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
        """Reset ids to half of what they were, from the next trade on; None where they are too low for it."""
        own_id = self._newest_own(now_ms)
        told_id = own_id - self._less(own_id)
        if told_id < _LEAST_TO_RESET:
            return None
        reset = Reset(own_id + 1, own_id - told_id // 2)
        self.resets.append(reset)
        return reset

    def exceptions(self, start_ms: int, end_ms: int) -> Iterator[tuple[Match, Fate]]:
        """The trades of [start, end) that a client may lack, or get with other content, and why; see `Fate`.

        Also the first trade after each reset: REST gives no trade from before it, and a client that was not connected
        cannot know where the new ids begin. Also ids that are no trades (`JUMPED`), where REST refused to show that:
        their times are those of the trades that they would be.
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

    def _minute_of_last(self, below: int, now_ms: int) -> int | None:
        """A minute that is no earlier than the last trade before the history's own id `below`."""
        minute = self.history.minute_of(below)
        return now_ms // MINUTE_MS if minute is None else min(minute, now_ms // MINUTE_MS)

    def _before_withheld(self, matches: list[Match]) -> list[Match]:
        hole = next((index for index, match in enumerate(matches) if self.is_withheld(match.trade_id)), len(matches))
        if hole <= 1 and hole < len(matches):
            raise WithheldError
        return matches[:hole]

    def _from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        own_id = self._own(trade_id, now_ms)
        lacking, known = self.fates[Fate.LACKING], list[Match]()
        while len(known) < limit:
            minute = self.history.minute_of(own_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = self.history.minute(minute)
            told = self._told([match for match in rows if match.trade_id >= own_id and match.time_ms <= now_ms])
            known += [match for match in told if match.trade_id not in lacking] if lacking else told
            own_id = rows[-1].trade_id + 1
        return known[:limit]

    def _newest(self, limit: int, now_ms: int) -> list[Match]:
        minute: int | None = now_ms // MINUTE_MS
        newest: list[Match] = []
        while minute is not None and len(newest) < limit:
            newest[:0] = [match for match in self.minute(minute) if match.time_ms <= now_ms]
            minute = self.history.minute_before(minute)
        return newest[-limit:]

    def _told(self, rows: Sequence[Match]) -> Sequence[Match]:
        """The trades with the ids that the exchange gives, without ids that it has left out."""
        rows = self._renumbered(rows)
        if jumped := self.fates[Fate.JUMPED]:
            rows = [match for match in rows if match.trade_id not in jumped]
        return rows

    def _renumbered(self, rows: Sequence[Match]) -> Sequence[Match]:
        if self.resets and rows and rows[-1].trade_id >= self.resets[0].first:
            return [structs.replace(match, trade_id=match.trade_id - self._less(match.trade_id)) for match in rows]
        return rows

    def _less(self, own_id: int) -> int:
        count = bisect_right(self.resets, own_id, key=lambda reset: reset.first)
        return self.resets[count - 1].less if count else 0

    def _own(self, trade_id: int, now_ms: int) -> int:
        """The history's own id of an id that the exchange gives now, but not one from before the newest reset."""
        if not self.resets:
            return trade_id
        newest = self._newest_own(now_ms)
        begun = [reset for reset in self.resets if reset.first <= newest]
        return max(trade_id + begun[-1].less, begun[-1].first) if begun else trade_id

    def _newest_own(self, now_ms: int) -> int:
        minute: int | None = now_ms // MINUTE_MS
        while minute is not None:
            if ids := [match.trade_id for match in self.history.minute(minute) if match.time_ms <= now_ms]:
                return ids[-1]
            minute = self.history.minute_before(minute)
        return 0

    def _before_torn(self, rows: list[Aggregate]) -> list[Aggregate]:
        torn = next((index for index, row in enumerate(rows) if self._is_torn(row)), len(rows))
        if rows and not torn:
            raise WithheldError
        return rows[:torn]

    def _is_torn(self, row: Aggregate) -> bool:
        return bool(self.fates[Fate.WITHHELD]) and any(map(self.is_withheld, range(row.first_id, row.last_id + 1)))


def aggregates(matches: Sequence[Match]) -> list[Aggregate]:
    """The aggregates of a minute's trades (trades of an aggregate have one time, so it lies in one minute)."""
    aggregated = []
    for aggregate_id, group in groupby(matches, key=lambda match: match.aggregate_id):
        rows = list(group)
        first, last = rows[0], rows[-1]
        lots = sum(match.lots for match in rows)
        aggregated.append(
            Aggregate(
                aggregate_id, first.ticks, lots, first.trade_id, last.trade_id, first.time_ms, first.buyer_is_maker
            )
        )
    return aggregated
