"""One symbol's feed: what to publish of what arrives, what to ask for, and which markers are due. Pure.

Live trades prove nothing about those before them: after each (re)connect the feed has to *join* them to what it
has. A live trade joins: everything after it will come, everything before it is known or a gap. A symbol without a
trade is joined by a REST page that is empty, asked for once the connection carries messages: there was nothing new
up to a time after the subscription.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.feed import FeedEvent, FeedEventKind
from market.trade import Marker, Trade
from producers.ledger import REORDER_S, Found, Gap, Ledger
from producers.marker_clock import MarkerClock, begin_again, first_begin

SERVER_GRACE_US = 500_000
"""How far the server's clock must be past a minute's end: trades and clock come on different streams."""
_ASK_AGAIN_S = 0.5
_ASK_AGAIN_MOST_S = 10.0


class Wanted(NamedTuple):
    """A page to ask for; `from_id` None: the newest trade."""

    from_id: int | None
    limit: int
    connection: int
    """Which of the symbol's connections was up when it was asked; 0: none."""


class Round:
    """What one round of the feed has to publish: trades before events, and markers after those are acknowledged."""

    def __init__(self, now_s: float, at_ms: int) -> None:
        self.now_s = now_s
        self.at_ms = at_ms
        self.begins: list[tuple[SymbolFeed, Marker]] = []
        self.trades: list[tuple[SymbolFeed, Trade]] = []
        self.events: list[FeedEvent] = []
        self.markers: list[tuple[SymbolFeed, Marker]] = []


class SymbolFeed:
    """The state of one symbol since the start of the session; `newest` is its newest marker in Kafka."""

    def __init__(
        self,
        exchange: str,
        symbol: str,
        *,
        native: str,
        partition: int,
        newest: Marker | None = None,
        page_trades: int = 1000,
    ) -> None:
        self.exchange, self.symbol, self.native, self.partition = exchange, symbol, native, partition
        self.key = f"{exchange}:{symbol}".encode()
        self.in_flight = False
        self.ledger: Ledger | None = None
        self.clock: MarkerClock | None = None
        self.begin: Marker | None = None
        self.joined = False
        self._page_trades = page_trades
        self._connection = 0  # which one, counted; its sign tells whether it is up
        self._connected_s = 0.0
        self._announced: tuple[int, int] | None = None
        self._ask_at_s = 0.0
        self._asked_in_vain = 0
        if newest is not None and newest.last_trade_id is not None:  # else nobody knows from which id to go on
            self.begin = begin_again(newest)
            self.ledger = Ledger(int(newest.last_trade_id), newest.complete_until_us)
            self.clock = MarkerClock(self.begin)

    @property
    def gaps(self) -> Sequence[Gap]:
        """What is missing."""
        return self.ledger.gaps if self.ledger else ()

    @property
    def settled(self) -> bool:
        """Nothing is missing and nothing has to be asked for."""
        return self.joined and not self.gaps and self._announced is None

    def connected(self, round_: Round) -> None:
        """The connection carries messages: from here on every trade comes."""
        self._connection = abs(self._connection) + 1
        self._connected_s = round_.now_s
        self._ask_at_s, self._asked_in_vain = round_.now_s + REORDER_S, 0
        for gap in self.gaps:
            gap.ask_at_s, gap.asked = round_.now_s, 0
        round_.events.append(self._event(FeedEventKind.CONNECTED, round_))

    def disconnected(self, reason: str, round_: Round) -> None:
        """The connection is lost."""
        self.joined = False
        self._connection = -abs(self._connection)
        round_.events.append(self._event(FeedEventKind.DISCONNECTED, round_, reason=reason))

    def live(self, trade: Trade, server_us: int, round_: Round) -> None:
        """A trade came over the connection."""
        number = int(trade.trade_id)
        if self.ledger is None:
            self.ledger = Ledger(number - 1, trade.time_us)
            self._begin(max(server_us, trade.time_us), trade, round_)
        self._take(trade, number, round_)
        self.joined = True

    def page(self, wanted: Wanted, trades: list[Trade] | None, server_us: int, round_: Round) -> None:
        """The answer to a request; None where there was none."""
        self.in_flight = False
        if trades is None:
            self._ask_later(wanted.from_id, round_)
        elif wanted.from_id is None:
            self._newest(trades, wanted, server_us, round_)
        elif self.ledger is not None:
            self._fill(wanted.from_id, trades, round_)
            if not trades and wanted.from_id > self.ledger.head and wanted.connection == self._connection > 0:
                self.joined = True

    def wanted(self, now_s: float) -> Wanted | None:
        """The page to ask for now, if any."""
        if self.in_flight:
            return None
        if self.ledger is not None and self.gaps:
            gap = next((gap for gap in self.gaps if gap.ask_at_s <= now_s), None)
            if gap is None:
                return None
            return Wanted(gap.first, min(self._page_trades, self.ledger.head - gap.first + 1), self._connection)
        if self.joined or self._connection <= 0 or now_s < self._ask_at_s:
            return None
        if self.ledger is None:
            return Wanted(None, 1, self._connection)
        return Wanted(self.ledger.head + 1, self._page_trades, self._connection)

    def settle(self, server_us: int, fill_timeout_s: float, round_: Round) -> None:
        """Put what is due into the round: gaps opened and filled, holes, markers."""
        if self.ledger is None or self.clock is None:
            return
        self._give_up(self.ledger, self.clock, server_us, round_.now_s - fill_timeout_s, round_)
        self._announce(round_)
        covered_us = server_us - SERVER_GRACE_US
        if self.gaps:
            covered_us = min(covered_us, self.gaps[0].from_us)
        elif not self.joined:
            covered_us = min(covered_us, self.ledger.head_us)
        round_.markers.extend((self, marker) for marker in self.clock.due(covered_us))

    def _begin(self, after_us: int, last: Trade, round_: Round) -> None:
        self.begin = first_begin(after_us, last)
        self.clock = MarkerClock(self.begin)
        round_.begins.append((self, self.begin))

    def _newest(self, trades: list[Trade], wanted: Wanted, server_us: int, round_: Round) -> None:
        if self.ledger is not None or wanted.connection != self._connection:
            return
        if not trades:  # a symbol that was never traded begins with its first trade
            self._ask_later(None, round_)
            return
        last = trades[-1]
        after_us = max(server_us, last.time_us)
        self.ledger = Ledger(int(last.trade_id), after_us)
        self._begin(after_us, last, round_)
        self.joined = True

    def _fill(self, from_id: int, trades: list[Trade], round_: Round) -> None:
        shown_missing = bool(self.gaps)
        found: list[Trade] = []
        expected = from_id
        for trade in trades:
            number = int(trade.trade_id)
            if number > expected and self.ledger is not None:
                self.ledger.absent(expected, number - 1, round_.now_s)
            expected = number + 1
            if self._take(trade, number, round_):
                found.append(trade)
        if found and not shown_missing:
            self._gap_event(FeedEventKind.GAP_OPENED, found, round_)
            self._gap_event(FeedEventKind.GAP_FILLED, found, round_)
        if self.ledger is not None and self.ledger.starting_at(from_id):
            self._ask_later(from_id, round_)

    def _take(self, trade: Trade, number: int, round_: Round) -> bool:
        if self.ledger is None or self.clock is None:
            return False
        found = self.ledger.add(number, trade.time_us, round_.now_s)
        if found is Found.SEEN:
            return False
        if found is Found.RESET:
            self._reset(self.ledger, self.clock, trade, number, round_)
        self.clock.published(number, trade.price, trade.time_us)
        round_.trades.append((self, trade))
        return True

    def _reset(self, ledger: Ledger, clock: MarkerClock, trade: Trade, number: int, round_: Round) -> None:
        # What lay between the last of the old ids and the first seen of the new ones can't be told.
        first_missing_us = ledger.gaps[0].from_us if ledger.gaps else ledger.latest_us
        clock.hole(first_missing_us, trade.time_us)
        clock.restart_ids()
        reason = f"ids fell from {ledger.head} to {number}"
        round_.events.append(
            self._event(
                FeedEventKind.RESET, round_, first_id=trade.trade_id,
                from_us=first_missing_us, until_us=trade.time_us, reason=reason,
            )
        )  # fmt: skip
        self._announced = None
        self.ledger = Ledger(number, trade.time_us)

    def _give_up(
        self, ledger: Ledger, clock: MarkerClock, server_us: int, moved_before_s: float, round_: Round
    ) -> None:
        lost = ledger.give_up(moved_before_s) if ledger.gaps and self._connection > 0 else ()
        for gap in lost:
            clock.hole(gap.from_us, gap.until_us)
            round_.events.append(
                self._event(
                    FeedEventKind.HOLE, round_, first_id=str(gap.first), last_id=str(gap.last),
                    from_us=gap.from_us, until_us=gap.until_us, reason="not filled in time",
                )
            )  # fmt: skip
        if lost and not ledger.gaps:
            self._announced = None
        if not self.joined and self._connection > 0 and self._connected_s <= moved_before_s and not ledger.gaps:
            clock.hole(ledger.head_us, server_us)
            reason = "the exchange did not say whether there were trades"
            round_.events.append(
                self._event(
                    FeedEventKind.HOLE, round_, from_us=ledger.head_us, until_us=server_us, reason=reason
                )
            )  # fmt: skip
            self.joined = True

    def _announce(self, round_: Round) -> None:
        gaps = self.gaps
        if self._announced is None:
            if gaps and gaps[0].opened_s + REORDER_S <= round_.now_s:
                self._announced = (gaps[0].first, gaps[-1].last)
                round_.events.append(
                    self._event(
                        FeedEventKind.GAP_OPENED, round_, first_id=str(gaps[0].first), last_id=str(gaps[-1].last),
                        from_us=gaps[0].from_us, until_us=gaps[-1].until_us,
                    )
                )  # fmt: skip
        elif not gaps:
            first, last = self._announced
            self._announced = None
            event = self._event(FeedEventKind.GAP_FILLED, round_, first_id=str(first), last_id=str(last))
            round_.events.append(event)

    def _gap_event(self, kind: FeedEventKind, found: list[Trade], round_: Round) -> None:
        first, last = found[0], found[-1]
        round_.events.append(
            self._event(
                kind, round_, first_id=first.trade_id, last_id=last.trade_id,
                from_us=first.time_us, until_us=last.time_us,
            )
        )  # fmt: skip

    def _ask_later(self, from_id: int | None, round_: Round) -> None:
        gap = None if from_id is None or self.ledger is None else self.ledger.starting_at(from_id)
        if gap is not None:
            gap.ask_at_s = round_.now_s + _pause_s(gap.asked)
            gap.asked += 1
        else:
            self._ask_at_s = round_.now_s + _pause_s(self._asked_in_vain)
            self._asked_in_vain += 1

    def _event(self, kind: FeedEventKind, round_: Round, **about: str | int) -> FeedEvent:
        return FeedEvent(exchange=self.exchange, symbol=self.symbol, event=kind, at_ms=round_.at_ms, **about)  # type: ignore[arg-type]  # fields by name


def _pause_s(asked: int) -> float:
    return min(_ASK_AGAIN_S * (1 << min(asked, 10)), _ASK_AGAIN_MOST_S)
