"""When the marker of a minute is due, and what it says. Pure: all times are market time, in microseconds."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from market.candle import IdOrder, id_order
from market.given_candle import GivenCandle
from market.timeframe import MINUTE_US, minute_us, next_minute_us
from market.trade import Marker, Proof, Trade
from producers.feed.klines import Klines

ALLOWED_LATENESS_US = 10 * MINUTE_US
"""The candle engine corrects a minute for this long after its marker; then the minute is final."""


class IdReset(NamedTuple):
    """The first trade that certainly has one of the new ids after a reset."""

    trade_id: str
    time_us: int


class Resumption(NamedTuple):
    """Where a symbol goes on from."""

    marker: Marker
    last_trade_us: int | None = None
    """Time of the marker's last trade, if it is known."""
    reset: IdReset | None = None
    """Where the exchange reset its ids after the marker, if it did."""


_Last = tuple[int, IdOrder, Decimal, int | None]
"""A trade as a tuple: what orders it before its id does, the order of its id, its price, its time.

The first two give the order. Where ids count up, the first is how often they were reset before; else it is the time.
"""
_LAST_OF_ITS_TIME = 2
"""Begins the order of an id that stands behind all others of its time: those begin with 0 or 1."""


class MarkerClock:
    """The markers of one symbol, from its `begin` on: one for each minute, in order.

    - `last_us`: the time of the last trade of that `begin`, if it is known. What was said of the minutes since then may
      have to be taken back, whoever said it.
    - `proof`: of minutes without a hole. `ids` also says that ids count up by one: the greatest is the last. Else the
      latest trade is the last.
    """

    def __init__(self, begin: Marker, last_us: int | None = None, *, proof: Proof = Proof.IDS) -> None:
        self._complete(begin.complete_until_us)
        self._whole_proof = proof
        self._claimed_from_us = begin.complete_until_us if last_us is None else last_us
        self._published_until_us = begin.published_until_us
        self._last = _last_of(begin, last_us, in_time=proof is not Proof.IDS)
        self._resets = 0
        self._reset: IdReset | None = None
        self._last_of_minute: dict[int, _Last] = {}
        self._holes: list[tuple[int, int]] = []

    def published(self, number: int, price: Decimal, time_us: int, *, former: bool = False) -> None:
        """Note a published trade: its id as a number, its price, its time. `former`: the id is from before a reset."""
        self._note((self._resets - former, (0, number, ""), price, time_us), time_us)

    def published_following(self, numbers: Sequence[int], prices: Sequence[str], times_us: Sequence[int]) -> None:
        """Note published trades whose ids and times rise: of each minute the last one is all that counts."""
        count = len(times_us)
        while count:
            last = count - 1
            time_us = times_us[last]
            self.published(numbers[last], Decimal(prices[last]), time_us)
            count = bisect_left(times_us, minute_us(time_us), 0, last)

    def published_in_time(self, trade: Trade) -> None:
        """Note a published trade whose id does not count up: the order is that of the candle engine."""
        self._note((trade.time_us, id_order(trade.trade_id, trade.seq), trade.price, trade.time_us), trade.time_us)

    def _note(self, last_trade: _Last, time_us: int) -> None:
        if time_us >= self._published_until_us:
            self._published_until_us = time_us + 1
        if time_us < self.complete_until_us:
            self._last = _later(self._last, last_trade)
            return
        opened_us = minute_us(time_us)
        self._last_of_minute[opened_us] = _later(self._last_of_minute.get(opened_us), last_trade)

    def restart_ids(self, reset: IdReset) -> None:
        """The exchange has reset its ids: from now on the lower ids are the later ones."""
        self._resets += 1
        self._reset = reset

    def reset_behind(self, marker: Marker) -> IdReset | None:
        """The newest reset of ids, if the marker speaks of a time before that reset."""
        reset = self._reset
        return reset if reset is not None and reset.time_us >= marker.complete_until_us else None

    def hole(self, from_us: int, until_us: int) -> None:
        """Note that trades between these times, both included, will not come any more."""
        self._holes.append((from_us, until_us))

    def holes_before(self, covered_us: int) -> list[int]:
        """The open times of the minutes without a marker, over before `covered_us`, that have a hole."""
        if not self._holes:
            return []
        minutes = range(self.complete_until_us, covered_us - MINUTE_US + 1, MINUTE_US)
        return [opened_us for opened_us in minutes if self._has_hole(opened_us)]

    def due(self, covered_us: int, klines: Klines) -> Iterator[Marker]:
        """The markers that are due, now that every trade before `covered_us` is published.

        Where a minute has a hole and `klines` has the exchange's own, that stands in.
        """
        while self.complete_until_us + MINUTE_US <= covered_us:
            opened_us = self.complete_until_us
            self._complete(opened_us + MINUTE_US)
            last = self._last_of_minute.pop(opened_us, None)
            if last is not None:
                self._last = _later(self._last, last)
            proof = self._proof(opened_us)
            kline = klines.take(opened_us) if proof is Proof.HOLE else None
            yield self._marker(proof if kline is None else Proof.KLINE, kline)

    def after_reset(self) -> Marker:
        """The progress record after a reset of ids: it says nothing new about minutes, but from which id to go on.

        It is written before any trade after the reset is published. Else a producer that starts after a crash takes
        the next trades for a second reset, and never asks for the trades between the two resets.
        """
        return self._marker(Proof.HOLE)

    @property
    def last_trade_us(self) -> int | None:
        """The time of the newest marker's last trade, if it is known."""
        return None if self._last is None else self._last[3]

    def take_back(self, from_us: int, until_us: int) -> Iterator[Marker]:
        """New markers with proof `hole` for the minutes between these times: trades of them are missing.

        Only for minutes that have a marker, and are not final.
        """
        opened_us = minute_us(max(from_us, self.final_until_us, self._claimed_from_us))
        while opened_us < self.complete_until_us and opened_us <= until_us:
            opened_us += MINUTE_US
            yield Marker(
                complete_until_us=opened_us,
                published_until_us=max(self._published_until_us, self.complete_until_us),
                proof=Proof.HOLE,
                takes_back=True,
            )

    def _complete(self, until_us: int) -> None:
        self.complete_until_us = until_us
        self.final_until_us = until_us - ALLOWED_LATENESS_US
        """The final boundary: the candle engine does not correct what lies before it."""

    def _marker(self, proof: Proof, kline: GivenCandle | None = None) -> Marker:
        return Marker(
            complete_until_us=self.complete_until_us,
            published_until_us=max(self._published_until_us, self.complete_until_us),
            proof=proof,
            last_trade_id=None if self._last is None else _id_of(self._last),
            last_price=None if self._last is None else self._last[2],
            kline=kline,
        )

    def _has_hole(self, opened_us: int) -> bool:
        return any(from_us < opened_us + MINUTE_US and until_us >= opened_us for from_us, until_us in self._holes)

    def _proof(self, opened_us: int) -> Proof:
        has_hole = self._has_hole(opened_us)
        if self._holes:
            self._holes = [hole for hole in self._holes if hole[1] >= opened_us + MINUTE_US]
        return Proof.HOLE if has_hole else self._whole_proof


def first_begin(after_us: int, last: Trade) -> Marker:
    """The `begin` of a symbol without a marker: at the next whole minute after `after_us`, with its `last` trade."""
    start_us = next_minute_us(after_us + 1)
    return Marker(
        complete_until_us=start_us,
        published_until_us=start_us,
        proof=Proof.BEGIN,
        last_trade_id=last.trade_id,
        last_price=last.price,
    )


def begin_again(newest: Marker) -> Marker:
    """The `begin` of a symbol with markers: its newest marker once more; all after this marker is published again."""
    return Marker(
        complete_until_us=newest.complete_until_us,
        published_until_us=newest.complete_until_us,
        proof=Proof.BEGIN,
        last_trade_id=newest.last_trade_id,
        last_price=newest.last_price,
    )


def _last_of(marker: Marker, time_us: int | None, *, in_time: bool) -> _Last | None:
    if marker.last_trade_id is None or marker.last_price is None:
        return None
    if not in_time:
        return 0, (0, int(marker.last_trade_id), ""), marker.last_price, time_us
    latest_us = marker.complete_until_us - 1 if time_us is None else time_us  # a marker does not tell its trade's `seq`
    return latest_us, (_LAST_OF_ITS_TIME, 0, marker.last_trade_id), marker.last_price, time_us


def _id_of(last: _Last) -> str:
    _, number, text = last[1]
    return text or str(number)


def _later(known: _Last | None, new: _Last) -> _Last:
    if known is None or new[0] > known[0]:
        return new
    return new if new[1] > known[1] and new[0] == known[0] else known
