"""One symbol's feed: what to publish of what arrives, what to ask for, and which markers are due. Pure.

Live trades prove nothing about those before them: after each (re)connect the feed has to *join* them to what it
has. A live trade joins: everything after it will come, everything before it is known or a gap. A symbol without a
trade is joined by a REST page, asked for once the connection carried messages, that begins with the newest known
trade and has nothing that was not published: there was nothing new up to a time after the subscription.

Pages are asked for from the id right before what is missing, because only what lies between two rows of a page is
proved by it (`producers/feed/page.py`). A history that does not reach back so far leaves the gap a gap.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.feed import FeedEvent, FeedEventKind
from market.trade import Marker, Trade
from producers.exchange import RefusedTrade
from producers.feed.claims import came_late, lose, take_back
from producers.feed.ledger import OPEN_US, REORDER_S, Gap, Ledger, Verdict
from producers.feed.marker_clock import IdReset, MarkerClock, begin_again, first_begin
from producers.feed.page import PageRows, read_page
from producers.feed.round import Round
from runtime.backoff import pause_s

SERVER_GRACE_US = 500_000
"""How far the server's clock must be past a minute's end: trades and clock come on different streams."""
REFUSALS = 5
"""So often the history has to give a row that is no trade before its id is given up: the next answer may be right."""


class Wanted(NamedTuple):
    """A page to ask for."""

    known: int | None
    """The id that it has to begin with; None: the newest trade is asked for."""
    limit: int
    connection: int
    """Which of the symbol's connections was up when it was asked; 0: none."""
    epoch: int = 0
    """How often ids had begun anew."""
    joins: bool = False
    """Whether it is to show that there is nothing new, not to fill a gap."""


class SymbolFeed:
    """The state of one symbol since the start of the session; `newest` is its newest marker in Kafka.

    `reset` says where its ids began anew behind that marker, if they did; `began_anew` says why there is no marker that
    can be used, where there should be one.
    """

    def __init__(
        self,
        exchange: str,
        symbol: str,
        *,
        native: str,
        partition: int,
        newest: Marker | None = None,
        reset: IdReset | None = None,
        began_anew: str | None = None,
        page_trades: int = 1000,
    ) -> None:
        self.exchange, self.symbol, self.native, self.partition = exchange, symbol, native, partition
        self.key = f"{exchange}:{symbol}".encode()
        self.in_flight = False
        self.ledger: Ledger | None = None
        self.clock: MarkerClock | None = None
        self.begin: Marker | None = None
        self.joined = False
        self._began_anew = began_anew
        self._last: Trade | None = None  # the newest before the first `begin`
        self._page_trades = page_trades
        self._connection = 0  # which one, counted; its sign tells whether it is up
        self._connected_s = 0.0
        self._joins_from_us = 0
        self._announced: tuple[int, int] | None = None
        self._ask_at_s = 0.0
        self._asked_in_vain = 0
        self._epoch = 0
        self._refusals: dict[int, int] = {}
        if newest is not None and newest.last_trade_id is not None:  # else nobody knows from which id to go on
            head = int(newest.last_trade_id)
            self.begin = begin_again(newest)
            self.ledger = Ledger(head, newest.complete_until_us, floor=head)
            self.clock = MarkerClock(self.begin)
            if reset is not None:
                # What lay between the last of the old ids and this one can't be told. It may not have been published.
                first, from_us = int(reset.trade_id), newest.complete_until_us
                self.ledger = Ledger(first - 1, max(from_us, reset.time_us), floor=first, former_head=head)
                self.clock.hole(from_us, reset.time_us)
                self.clock.restart_ids(reset)

    @property
    def gaps(self) -> Sequence[Gap]:
        """What is missing."""
        return self.ledger.gaps if self.ledger else ()

    @property
    def is_caught_up(self) -> bool:
        """Nothing is missing and nothing has to be asked for."""
        if not self.joined or self.clock is None or self._announced is not None:
            return False
        return self.ledger is not None and not self.ledger.gaps and self.ledger.undecided_s is None

    def connected(self, since_us: int, round_: Round) -> None:
        """The connection carries messages: from here on, which is `since_us` at the exchange, every trade comes."""
        self._connection = abs(self._connection) + 1
        self._joins_from_us = since_us - SERVER_GRACE_US
        self._connected_s = round_.now_s
        self._ask_at_s, self._asked_in_vain = round_.now_s + REORDER_S, 0
        for gap in self.gaps:
            gap.ask_at_s, gap.asked = round_.now_s, 0
        self.tell(FeedEventKind.CONNECTED, round_)

    def disconnected(self, reason: str, round_: Round) -> None:
        """The connection is lost."""
        self.joined = False
        self._connection = -abs(self._connection)
        self.tell(FeedEventKind.DISCONNECTED, round_, reason=reason)

    def live(self, trade: Trade, round_: Round) -> None:
        """A trade came over the connection."""
        number = int(trade.trade_id)
        if self.ledger is None:
            self.ledger = Ledger(number - 1, trade.time_us)
        self._take(self.ledger, trade, number, round_)
        # One from before the connection, told late, says nothing about those between it and the connection; nor does
        # one of which nobody knows whether ids begin anew with it.
        if not self.joined and self.ledger is not None and self.ledger.undecided_s is None:
            self.joined = trade.time_us >= self._joins_from_us

    def refused(self, refused: RefusedTrade, server_us: int, round_: Round) -> None:
        """Something came over the connection that is no trade, at this time of the market; it is missing if new."""
        round_.refused.append((self, refused))
        ledger, number = self.ledger, refused.number
        # An id that is far ahead may be as wrong as the rest of it: the next trade shows whether it is.
        if ledger is not None and number is not None and number <= ledger.head + self._page_trades:
            ledger.missing(number, server_us, round_.now_s)

    def page(self, wanted: Wanted, rows: Sequence[Trade | RefusedTrade] | None, server_us: int, round_: Round) -> None:
        """The answer to a request; None where there was none."""
        self.in_flight = False
        if wanted.epoch != self._epoch:
            return
        if rows is None:
            self._ask_later(wanted, round_)
        elif wanted.known is None:
            self._newest(rows, wanted, server_us, round_)
        elif self.ledger is not None:
            self._fill(self.ledger, wanted, read_page(wanted.known, rows), server_us, round_)

    def wanted(self, now_s: float) -> Wanted | None:
        """The page to ask for now, if any: of several the one that waits for longest."""
        if self.in_flight:
            return None
        ledger = self.ledger
        gap = min(self.gaps, key=lambda one: one.ask_at_s, default=None)
        asks_to_join = not self.joined and self._connection > 0
        if ledger is not None and gap is not None and not (asks_to_join and self._ask_at_s < gap.ask_at_s):
            limit = min(self._page_trades, ledger.head - gap.known + 1)
            return Wanted(gap.known, limit, self._connection, self._epoch) if gap.ask_at_s <= now_s else None
        if not asks_to_join or now_s < self._ask_at_s:
            return None
        if ledger is None:
            return Wanted(None, 1, self._connection, self._epoch)
        return Wanted(ledger.head, self._page_trades, self._connection, self._epoch, joins=True)

    def emit_due(self, server_us: int, fill_timeout_s: float, round_: Round) -> None:
        """Put what is due into the round, now that market time is `server_us` (0: nobody knows).

        That are gaps opened and filled, holes, and markers.
        """
        if self.ledger is None:
            return
        if self.clock is None:
            if server_us and self._last is not None:
                self._begin(self.ledger, self._last, server_us, round_)
            return
        self._give_up(self.ledger, self.clock, server_us, round_.now_s - fill_timeout_s, round_)
        self._announce(round_)
        covered_us = self._covered_us(self.ledger, server_us)
        round_.markers.extend((self, marker) for marker in self.clock.due(covered_us))

    def _covered_us(self, ledger: Ledger, server_us: int) -> int:
        """Every trade before this time went out."""
        covered_us = server_us - SERVER_GRACE_US
        if ledger.gaps:
            covered_us = min(covered_us, *(gap.from_us for gap in ledger.gaps))
        elif not self.joined:
            covered_us = min(covered_us, ledger.head_us)
        return covered_us if ledger.undecided_s is None else min(covered_us, ledger.latest_us)

    def tell(self, kind: FeedEventKind, round_: Round, **about: str | int) -> None:
        """Put an event about this symbol into the round."""
        event = FeedEvent(exchange=self.exchange, symbol=self.symbol, event=kind, at_ms=round_.at_ms, **about)  # type: ignore[arg-type]  # fields by name
        round_.events.append(event)

    def _begin(self, ledger: Ledger, last: Trade, server_us: int, round_: Round) -> None:
        self.begin = first_begin(max(server_us, ledger.latest_us), last)
        self.clock = MarkerClock(self.begin)
        round_.begins.append((self, self.begin))
        if self._began_anew is not None:
            self.tell(FeedEventKind.HOLE, round_, until_us=self.begin.complete_until_us, reason=self._began_anew)

    def _newest(self, rows: Sequence[Trade | RefusedTrade], wanted: Wanted, server_us: int, round_: Round) -> None:
        if self.ledger is not None or wanted.connection != self._connection:
            return
        last = rows[-1] if rows else None
        if not isinstance(last, Trade):  # a symbol that was never traded begins with its first trade
            self._ask_later(wanted, round_)
            return
        self.ledger = Ledger(int(last.trade_id), max(server_us, last.time_us))
        self._last = last
        self.joined = True

    def _fill(self, ledger: Ledger, wanted: Wanted, page: PageRows, server_us: int, round_: Round) -> None:
        shown_missing = bool(ledger.gaps)
        new = [trade for trade in page.trades if ledger.is_new(int(trade.trade_id))]
        for trade in new:
            self._take(ledger, trade, int(trade.trade_id), round_)
        for refused in page.refused:
            self._refused_row(ledger, refused, server_us, round_)
        for first, last in page.absent:
            ledger.stop_awaiting(first, last, round_.now_s)
        for number in page.conflicts:
            reason = "one page told it with two contents"
            self.tell(FeedEventKind.CONFLICT, round_, first_id=str(number), last_id=str(number), reason=reason)
        if new and not shown_missing and not ledger.gaps:
            self._gap_event(FeedEventKind.GAP_OPENED, new, round_)
            self._gap_event(FeedEventKind.GAP_FILLED, new, round_)
        known = -1 if wanted.known is None else wanted.known
        gap = ledger.behind(known)
        if gap is not None and page.first is not None and page.first > known:
            gap.history_from = page.first
        ends = page.begins and page.rows < wanted.limit and all(row.number is not None for row in page.refused)
        if wanted.joins and ends and wanted.connection == self._connection > 0:
            self.joined = True
        elif gap is not None or not new:
            self._ask_later(wanted, round_)

    def _refused_row(self, ledger: Ledger, refused: RefusedTrade, server_us: int, round_: Round) -> None:
        """A row of a page that is no trade: its id is missing, and given up where it stays so."""
        number = refused.number
        if number is None or not ledger.is_missing(number):
            return
        ledger.missing(number, server_us, round_.now_s)
        times = self._refusals.pop(number, 0) + 1
        if times == 1:
            round_.refused.append((self, refused))
        gap = ledger.gap_of(number)
        if times < REFUSALS or gap is None or not gap.is_bounded(server_us):
            self._refusals[number] = times
            return
        for gap in ledger.stop_awaiting(number, number, round_.now_s, lost=True):
            lose(self, gap.from_us, gap.until_us, round_, ids=(number, number), reason=refused.reason)
        if not ledger.gaps:
            self._announced = None

    def _take(self, ledger: Ledger, trade: Trade, number: int, round_: Round) -> None:
        found = ledger.add(number, trade.time_us, round_.now_s)
        if found is Verdict.SEEN:
            return
        if found is Verdict.RESET:
            self._reset(ledger, trade, number, round_)
        elif found is Verdict.LATE:
            came_late(self, trade, round_)
        if self.clock is not None:
            self.clock.published(number, trade.price, trade.time_us, former=found is Verdict.FORMER)
            if found is Verdict.RESET:
                round_.resets.append((self, self.clock.after_reset()))
        elif found is not Verdict.FORMER and (
            self._last is None or number > int(self._last.trade_id) or found is Verdict.RESET
        ):
            self._last = trade
        round_.trades.append((self, trade))
        if self._refusals:
            self._refusals.pop(number, None)

    def _reset(self, ledger: Ledger, trade: Trade, number: int, round_: Round) -> None:
        # What lay between the last of the old ids and the first seen of the new ones can't be told.
        first_missing_us = ledger.gaps[0].from_us if ledger.gaps else ledger.latest_us
        reason = f"ids fell from {ledger.head} to {number}"
        self.tell(
            FeedEventKind.RESET, round_,
            first_id=trade.trade_id, from_us=first_missing_us, until_us=trade.time_us, reason=reason,
        )  # fmt: skip
        if self.clock is not None:
            self.clock.hole(first_missing_us, trade.time_us)
            self.clock.restart_ids(IdReset(trade.trade_id, trade.time_us))
            take_back(self, first_missing_us, trade.time_us, round_, reason)
        self._announced = None
        self._epoch += 1
        self._refusals.clear()
        self.ledger = Ledger(number, trade.time_us, former_head=max(ledger.head, ledger.former_head))

    def _give_up(
        self, ledger: Ledger, clock: MarkerClock, server_us: int, moved_before_s: float, round_: Round
    ) -> None:
        lost = ledger.give_up(moved_before_s, server_us) if ledger.gaps and self._connection > 0 else ()
        for gap in lost:
            reason = "not filled in time"
            if gap.history_from is not None:
                reason += f": the exchange's history does not reach back to them, it begins with {gap.history_from}"
            lose(self, gap.from_us, gap.until_us, round_, ids=(gap.first, gap.last), reason=reason)
        if lost and not ledger.gaps:
            self._announced = None
        if self._connection > 0 and self._connected_s <= moved_before_s and not ledger.gaps:
            self._give_up_waiting(ledger, clock, server_us, moved_before_s, round_)

    def _give_up_waiting(
        self, ledger: Ledger, clock: MarkerClock, server_us: int, moved_before_s: float, round_: Round
    ) -> None:
        """Nobody said in time what was before the connection, or whether ids begin anew: it may be missing."""
        from_us = max(ledger.head_us, clock.complete_until_us)
        if ledger.undecided_s is not None and ledger.undecided_s <= moved_before_s:
            reason = f"nobody knows whether ids begin anew with {ledger.restarting}"
            lose(self, min(from_us, ledger.latest_us), max(ledger.latest_us, server_us), round_, reason=reason)
            ledger.stay_undecided(server_us)
        # As long as the market time that is proved is one from before the connection, it bounds nothing.
        if not self.joined and server_us >= self._joins_from_us:
            reason = "the exchange did not say whether there were trades"
            lose(self, from_us, max(from_us, server_us), round_, reason=reason)
            self.joined = True

    def _announce(self, round_: Round) -> None:
        gaps = self.gaps
        if self._announced is None:
            if gaps and gaps[0].opened_s + REORDER_S <= round_.now_s:
                self._announced = (gaps[0].first, gaps[-1].last)
                about: dict[str, str | int] = {"first_id": str(gaps[0].first), "last_id": str(gaps[-1].last)}
                if gaps[-1].until_us != OPEN_US:
                    about["until_us"] = gaps[-1].until_us
                self.tell(FeedEventKind.GAP_OPENED, round_, from_us=gaps[0].from_us, **about)
        elif not gaps:
            first, last = self._announced
            self._announced = None
            self.tell(FeedEventKind.GAP_FILLED, round_, first_id=str(first), last_id=str(last))

    def _gap_event(self, kind: FeedEventKind, found: list[Trade], round_: Round) -> None:
        first, last = found[0], found[-1]
        self.tell(
            kind, round_, first_id=first.trade_id, last_id=last.trade_id, from_us=first.time_us, until_us=last.time_us
        )

    def _ask_later(self, wanted: Wanted, round_: Round) -> None:
        gap = None if wanted.known is None or self.ledger is None else self.ledger.behind(wanted.known)
        if gap is not None:
            gap.ask_at_s = round_.now_s + pause_s(gap.asked)
            gap.asked += 1
        else:
            self._ask_at_s = round_.now_s + pause_s(self._asked_in_vain)
            self._asked_in_vain += 1
