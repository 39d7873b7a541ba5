"""What can be looked up of a market at a moment: trades and aggregates by id, by time, the newest; and holes.

A *withheld* id is one that neither stream nor REST gives. A look-up ends before it, and one that would begin with it
fails as the exchange's own database would: the id exists, it cannot be had. Klines still count its trade.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from market.timeframe import MINUTE_MS
from producers.simulator.history import History, Match


class WithheldError(Exception):
    """The look-up begins with an id that is withheld."""


class IdRange(Struct, frozen=True):
    """Ids `first` … `last`, both in it."""

    first: int
    last: int


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
    """One market's history as far as it has happened, less what is withheld."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.instrument = history.instrument
        self.withheld: list[IdRange] = []

    def matches_from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        """At most `limit` trades from that id on, none later than `now_ms`."""
        found = self._from(trade_id, limit, now_ms)
        return self._before_hole(found) if self.withheld else found

    def newest(self, limit: int, now_ms: int) -> list[Match]:
        """The `limit` newest trades, or those of them behind the newest hole."""
        found = self._newest(limit, now_ms)
        if self.withheld:
            hole = next((at for at in reversed(range(len(found))) if self.is_withheld(found[at].trade_id)), -1)
            return found[hole + 1 :]
        return found

    def aggregates_from(self, aggregate_id: int, limit: int, now_ms: int) -> list[Aggregate]:
        """At most `limit` aggregates from that id on, none later than `now_ms`."""
        found: list[Aggregate] = []
        while len(found) < limit:
            minute = self.history.minute_of_aggregate(aggregate_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = aggregates(self.history.minute(minute))
            found += [row for row in rows if row.aggregate_id >= aggregate_id and row.time_ms <= now_ms]
            aggregate_id = rows[-1].aggregate_id + 1
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
            rows = [match for match in self.history.minute(minute) if match.time_ms <= now_ms]
            found[:0] = aggregates(rows)
            minute = self.history.minute_before(minute)
        torn = next((at for at in reversed(range(len(found))) if self._is_torn(found[at])), -1)
        return found[torn + 1 :][-limit:]

    def between(self, start_ms: int, end_ms: int) -> Iterator[Match]:
        """The trades of [start, end), withheld ones among them."""
        for minute in range(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)):
            for match in self.history.minute(minute):
                if start_ms <= match.time_ms < end_ms:
                    yield match

    def ticks_before(self, time_ms: int) -> int | None:
        """The price of the last trade before a time; None where there is none."""
        minute: int | None = time_ms // MINUTE_MS
        while minute is not None:
            before = [match for match in self.history.minute(minute) if match.time_ms < time_ms]
            if before:
                return before[-1].ticks
            minute = self.history.minute_before(minute)
        return None

    def withhold(self, ids: IdRange) -> None:
        """Give these ids no more."""
        self.withheld.append(ids)

    def next_ids(self, count: int, now_ms: int) -> IdRange:
        """The `count` ids that come after a moment."""
        newest = self._newest(1, now_ms)
        last = newest[-1].trade_id if newest else 0
        return IdRange(last + 1, last + count)

    def is_withheld(self, trade_id: int) -> bool:
        """Whether neither stream nor REST gives this id."""
        return any(ids.first <= trade_id <= ids.last for ids in self.withheld)

    def _from(self, trade_id: int, limit: int, now_ms: int) -> list[Match]:
        found: list[Match] = []
        while len(found) < limit:
            minute = self.history.minute_of(trade_id)
            if minute is None or minute * MINUTE_MS > now_ms:
                break
            rows = self.history.minute(minute)
            found += [match for match in rows if match.trade_id >= trade_id and match.time_ms <= now_ms]
            trade_id = rows[-1].trade_id + 1
        return found[:limit]

    def _newest(self, limit: int, now_ms: int) -> list[Match]:
        minute: int | None = now_ms // MINUTE_MS
        found: list[Match] = []
        while minute is not None and len(found) < limit:
            found[:0] = [match for match in self.history.minute(minute) if match.time_ms <= now_ms]
            minute = self.history.minute_before(minute)
        return found[-limit:]

    def _before_hole(self, found: list[Match]) -> list[Match]:
        hole = next((at for at, match in enumerate(found) if self.is_withheld(match.trade_id)), len(found))
        if found and not hole:
            raise WithheldError
        return found[:hole]

    def _before_torn(self, found: list[Aggregate]) -> list[Aggregate]:
        torn = next((at for at, row in enumerate(found) if self._is_torn(row)), len(found))
        if found and not torn:
            raise WithheldError
        return found[:torn]

    def _is_torn(self, row: Aggregate) -> bool:
        return bool(self.withheld) and any(map(self.is_withheld, range(row.first_id, row.last_id + 1)))


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
