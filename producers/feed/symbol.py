"""One symbol's feed: what to publish of what arrives, what to ask for, and which markers are due. Pure.

A connection proves nothing about the trades before it. So after each (re)connect the feed has to *join* it to what
it knows:

- A live trade joins: everything after it will come; everything before it is known or a gap.
- Without a live trade a page of REST joins. The feed asks for it after the first message of the connection, and late
  enough that an answer out of the exchange's caches was made after it, too. The page has to begin with the newest known
  trade and hold nothing new: then there was no trade up to the subscription.

A page is asked for from the id right before the missing ones, because a page proves only what lies between two of its
rows (`producers/feed/page.py`). If the exchange's history does not reach back so far, the gap stays.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.codec import decode_trade
from market.encoded_trades import EncodedTrades
from market.feed import FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed.claims import mark_hole, report_final, report_late, take_back
from producers.feed.gap_reports import GapReports, report_filled_at_once
from producers.feed.klines import Klines
from producers.feed.ledger import REORDER_S, Gap, Ledger, Novelty
from producers.feed.marker_clock import IdReset, MarkerClock, Resumption, begin_again, first_begin
from producers.feed.outbox import Outbox
from producers.feed.page import PageRows, read_page
from producers.feed.silence import Silence
from runtime.backoff import pause_s

SERVER_GRACE_US = 500_000
"""How far the server's clock must be past a minute's end: trades and clock come on different streams."""
REFUSALS = 5
"""The history must give an unreadable row so often before its id is given up: the next answer may be right."""


class PageRequest(NamedTuple):
    """A page to ask for."""

    known: int | None
    """The id that the page has to begin with; None: the newest trade is asked for."""
    limit: int
    connection: int
    """The number of the symbol's connection that was up when the request was made; 0: none."""
    epoch: int = 0
    """How often the exchange had reset its ids."""
    joins: bool = False
    """True: the page should show that there is nothing new. False: it should fill a gap."""
    known_us: int = 0
    """No later than the time of the known trade, or of the one right after it."""
    holds: str | None = None
    """The id of a trade that the newest page has to hold: without it the page is older than the connection."""


class SymbolFeed:
    """The state of one symbol since the start of the session.

    - `resumption`: what its newest progress record in Kafka says.
    - `unusable`: why there is no `resumption`, although Kafka has a record.
    - `lag_s`: the exchange's history may be so much older than its stream (`RestLimits.lag_s`).
    """

    def __init__(
        self,
        market: MarketKey,
        *,
        native: str,
        partition: int,
        resumption: Resumption | None = None,
        unusable: str | None = None,
        page_trades: int = 1000,
        lag_s: float = 0.0,
    ) -> None:
        self.market, self.native, self.partition = market, native, partition
        self.key = str(market).encode()
        self.in_flight = False
        self.ledger: Ledger | None = None
        self.clock: MarkerClock | None = None
        self.begin: Marker | None = None
        self.joined = False
        self.retired = False
        """The exchange does not trade it any more: no marker goes."""
        self._unusable = unusable
        self._last: Trade | None = None  # the newest trade before the first `begin`
        self._page_trades = page_trades
        self._settles_s = max(REORDER_S, lag_s)  # after so long a page has what came before it
        self._connection = 0  # its number; negative while it is down
        self._connected_s = 0.0
        self._joins_from_us = 0
        self._gap_reports = GapReports()
        self._ask_at_s = 0.0
        self._asked_in_vain = 0
        self._epoch = 0
        self.klines = Klines()
        self._silence = Silence()
        self._looks = False  # whether the exchange is asked because the symbol is unusually silent
        self._lower: Trade | None = None  # the trade of `ledger.lower`, if it was not published
        self._refusals: dict[int, int] = {}
        # Without a last trade it is not known from which id to go on.
        if resumption is not None and resumption.marker.last_trade_id is not None:
            newest, last_trade_us, reset = resumption
            head = int(resumption.marker.last_trade_id)
            self.begin = begin_again(newest)
            last_us = newest.complete_until_us if last_trade_us is None else last_trade_us
            self.ledger = Ledger(head, last_us, floor=head)
            self.clock = MarkerClock(self.begin, last_trade_us)
            if reset is not None:
                # Unknown: which trades lie between the last old id and this new one, and if this one was published.
                first, from_us = int(reset.trade_id), newest.complete_until_us
                self.ledger = Ledger(first - 1, max(from_us, reset.time_us), floor=first, former_head=head)
                self.clock.hole(from_us, reset.time_us)
                self.clock.restart_ids(reset)

    @property
    def gaps(self) -> Sequence[Gap]:
        """The missing ids."""
        return self.ledger.gaps if self.ledger else ()

    @property
    def is_caught_up(self) -> bool:
        """Nothing is missing and nothing has to be asked for."""
        if self.retired:
            return True
        if not self.joined or self.clock is None or self._gap_reports.is_open:
            return False
        if self._looks or self._silence.is_suspected or self.klines.is_waiting:
            return False
        return self.ledger is not None and not self.ledger.gaps and self.ledger.undecided_s is None

    def connected(self, since_us: int, outbox: Outbox) -> None:
        """The connection carries messages: every trade from `since_us` (the exchange's time) on will come."""
        self._connection = abs(self._connection) + 1
        self._joins_from_us = since_us - SERVER_GRACE_US
        self._connected_s = outbox.now_s
        self._silence.begin(outbox.now_s)
        self._looks = False
        self._ask_at_s, self._asked_in_vain = outbox.now_s + self._settles_s, 0
        for gap in self.gaps:
            gap.ask_at_s, gap.asked = outbox.now_s, 0
        self.report(FeedEventKind.CONNECTED, outbox)

    def disconnected(self, reason: str, server_us: int, outbox: Outbox) -> None:  # noqa: ARG002  # of `AnySymbol`
        """The connection is lost."""
        self.joined = False
        self._connection = -abs(self._connection)
        self.report(FeedEventKind.DISCONNECTED, outbox, reason=reason)

    def live(self, trade: Trade, outbox: Outbox) -> None:
        """A trade came over the connection."""
        number, time_us = int(trade.trade_id), trade.time_us
        self._silence.hear(outbox.now_s)
        ledger, clock = self.ledger, self.clock
        if ledger is None:
            ledger = self.ledger = Ledger(number - 1, time_us)
        if clock is not None and self.joined and time_us >= clock.final_until_us and ledger.add_next(number, time_us):
            # The short way of nearly all trades: the same as below, where there is nothing to decide or to report.
            clock.published(number, trade.price, time_us)
            outbox.trades.append((self, trade))
            return
        self._take(ledger, trade, number, outbox)
        # A late trade from before the connection does not tell what lies between that trade and the connection; nor
        # does a trade while it is undecided whether the exchange reset its ids, or before the exchange says that it
        # took the subscription.
        if not self.joined and self._connection > 0 and self.ledger is not None and self.ledger.undecided_s is None:
            self.joined = trade.time_us >= self._joins_from_us

    def live_together(self, trades: EncodedTrades, outbox: Outbox) -> None:
        """Trades came over the connection one after the other: the same as `live` with each, where none is special."""
        ledger, clock, times_us = self.ledger, self.clock, trades.times_us
        if (
            ledger is not None and clock is not None and self.joined
            and times_us[0] >= clock.final_until_us and ledger.add_following(trades.numbers, times_us)
        ):  # fmt: skip
            self._silence.hear(outbox.now_s, len(times_us))
            clock.published_following(trades.numbers, trades.prices, times_us)
            outbox.trades.append((self, trades))
        else:
            for value in trades.values:
                self.live(decode_trade(value), outbox)

    def refused(self, refused: RefusedTrade, server_us: int, outbox: Outbox) -> None:
        """An unreadable trade came over the connection, at this market time; its id is missing if it is new."""
        outbox.refused.append((self, refused))
        ledger, number = self.ledger, refused.number
        # An id far ahead may be as wrong as the rest of the message.
        if ledger is not None and number is not None and number <= ledger.head + self._page_trades:
            ledger.miss(number, server_us, outbox.now_s)
        elif self._connection > 0:
            self._join_again(server_us, outbox)

    def _join_again(self, since_us: int, outbox: Outbox) -> None:
        """A trade came of which no id is known: only a page, or the next trade, shows which one it was."""
        if self.joined:
            self.joined = False
            self._connected_s = outbox.now_s
        self._connection += 1  # answers that were asked for before do not join
        self._joins_from_us = max(self._joins_from_us, since_us - SERVER_GRACE_US)
        self._ask_at_s, self._asked_in_vain = outbox.now_s + self._settles_s, 0

    def page(self, request: PageRequest, page: TradesPage | None, server_us: int, outbox: Outbox) -> None:
        """The answer to a request; `page` None: there was no answer."""
        self.in_flight = False
        if request.epoch != self._epoch:
            return
        if page is None:
            self._ask_later(request, outbox)
        elif request.known is None:
            self._newest(page.rows, request, server_us, outbox)
        elif self.ledger is not None:
            self._fill(self.ledger, request, read_page(request.known, page), server_us, outbox)

    def next_request(self, now_s: float) -> PageRequest | None:
        """The page to ask for now, if any: among several, the one that has waited longest."""
        if self.in_flight:
            return None
        ledger = self.ledger
        gap = min(self.gaps, key=lambda gap: gap.ask_at_s, default=None)
        asks = self._connection > 0 and (self._looks or not self.joined)
        asks = asks or (ledger is not None and ledger.undecided_s is not None)
        if ledger is not None and gap is not None and not (asks and self._ask_at_s < gap.ask_at_s):
            limit = min(self._page_trades, ledger.head - gap.known + 1)
            if gap.ask_at_s > now_s:
                return None
            known_us = min(gap.from_us, gap.known_us)
            return PageRequest(gap.known, limit, self._connection, self._epoch, known_us=known_us)
        if not asks or now_s < self._ask_at_s:
            return None
        if ledger is None:
            return PageRequest(None, 1, self._connection, self._epoch)
        # If ids were reset, the exchange has nothing behind the greatest old one.
        known, known_us = (ledger.head, ledger.known_us) if ledger.lower is None else ledger.lower
        return PageRequest(known, self._page_trades, self._connection, self._epoch, joins=True, known_us=known_us)

    def emit_due(self, server_us: int, fill_timeout_s: float, outbox: Outbox) -> None:
        """Put the events and markers that are due into the outbox; `server_us` is the market time, 0: unknown."""
        if self.ledger is None or self.retired:
            return
        if self.clock is None:
            if server_us and self._last is not None:
                self._begin(self.ledger, self._last, server_us, outbox)
            return
        self._give_up_overdue(self.ledger, self.clock, server_us, outbox.now_s - fill_timeout_s, outbox)
        self._gap_reports.update(self, outbox)
        self._look_into_silence(outbox)
        covered_us = self._covered_us(self.ledger, server_us)
        self.klines.want(self.clock.holes_before(covered_us), outbox.now_s, fill_timeout_s)
        held_us = self.klines.held_until_us(outbox.now_s)
        if held_us is not None:
            covered_us = min(covered_us, held_us)
        outbox.markers.extend((self, marker) for marker in self.clock.due(covered_us, self.klines))

    def _look_into_silence(self, outbox: Outbox) -> None:
        if not self.joined:
            return
        if self._silence.is_proven(outbox.now_s):
            self._silence.begin(outbox.now_s)
            outbox.silent.append(self)
        elif not self._looks and self._silence.is_unusual(outbox.now_s):
            self._looks, self._ask_at_s, self._asked_in_vain = True, outbox.now_s, 0

    def _covered_us(self, ledger: Ledger, server_us: int) -> int:
        """The time before which every trade was published."""
        covered_us = server_us - SERVER_GRACE_US
        if ledger.gaps:
            covered_us = min(covered_us, *(gap.from_us for gap in ledger.gaps))
        elif not self.joined:
            covered_us = min(covered_us, ledger.head_us)
        return covered_us if ledger.undecided_s is None else min(covered_us, ledger.latest_us)

    def report(self, kind: FeedEventKind, outbox: Outbox, **about: str | int) -> None:
        """Put an event about this symbol into the outbox."""
        outbox.report(self.market, kind, **about)

    def _begin(self, ledger: Ledger, last: Trade, server_us: int, outbox: Outbox) -> None:
        self.begin = first_begin(max(server_us, ledger.latest_us), last)
        self.clock = MarkerClock(self.begin, last.time_us)
        outbox.begins.append((self, self.begin))
        if self._unusable is not None:
            self.report(FeedEventKind.HOLE, outbox, until_us=self.begin.complete_until_us, reason=self._unusable)

    def _newest(
        self, rows: Sequence[Trade | RefusedTrade], request: PageRequest, server_us: int, outbox: Outbox
    ) -> None:
        if self.ledger is not None or request.connection != self._connection:
            return
        last = rows[-1] if rows else None
        if not isinstance(last, Trade):  # a symbol that was never traded begins with its first trade
            self._ask_later(request, outbox)
            return
        self.ledger = Ledger(int(last.trade_id), max(server_us, last.time_us), known_us=last.time_us)
        self._last = last
        self.joined = True

    def _fill(self, ledger: Ledger, request: PageRequest, page: PageRows, server_us: int, outbox: Outbox) -> None:
        # One that lacks the known row may have been cut by what an exchange counted and then left out.
        may_be_cut = page.first != request.known and page.rows + 1 >= request.limit
        is_whole = page.is_whole and not may_be_cut
        rows = [(int(trade.trade_id), trade.time_us) for trade in page.trades]
        if ledger.is_reset_by(rows, is_whole=is_whole and not page.refused):
            ledger = self._reset(ledger, outbox)
        had_gaps = bool(ledger.gaps)
        self._look_for_reset(ledger, page, outbox)
        new = [trade for trade in page.trades if ledger.is_new(int(trade.trade_id))]
        for trade in new:
            self._take(ledger, trade, int(trade.trade_id), outbox)
        for refused in page.refused:
            self._refused_row(ledger, refused, server_us, outbox)
        for first, last in page.absent:
            ledger.give_up(first, last, outbox.now_s)
        for number in page.conflicts:
            reason = "one page has this id with two contents"
            self.report(FeedEventKind.CONFLICT, outbox, first_id=str(number), last_id=str(number), reason=reason)
        if new and not had_gaps and not ledger.gaps:  # this page both showed the gap and filled it
            report_filled_at_once(self, new, outbox)
        self._conclude(ledger, request, page, outbox, is_whole=is_whole, is_new=bool(new))

    def _conclude(
        self, ledger: Ledger, request: PageRequest, page: PageRows, outbox: Outbox, *, is_whole: bool, is_new: bool
    ) -> None:
        """After a page was taken: whether it joins, what it says of a silence, and whether to ask again later."""
        known = -1 if request.known is None else request.known
        gap = ledger.behind(known)
        if gap is not None and page.first is not None and page.first > known:
            gap.history_from = page.first
        if self._looks and request.joins:
            self._looks = not is_whole
            self._silence.look(outbox.now_s, shown=is_new)
        is_of_connection = request.connection == self._connection > 0
        if request.joins and is_whole and is_of_connection and ledger.undecided_s is None:
            self.joined = True
        elif gap is not None or not is_new:
            self._ask_later(request, outbox)

    def _look_for_reset(self, ledger: Ledger, page: PageRows, outbox: Outbox) -> None:
        """Ids that were reset while nobody looked and have come as far again: what happened until then is not known."""
        first = page.trades[0] if page.trades else None
        from_us = None if first is None else ledger.passed_again(int(first.trade_id), first.time_us)
        if first is not None and from_us is not None:
            reason = f"ids were reset unseen: {first.trade_id} is known from before, and stands in the history again"
            mark_hole(self, from_us, first.time_us, outbox, reason=reason)

    def _refused_row(self, ledger: Ledger, refused: RefusedTrade, server_us: int, outbox: Outbox) -> None:
        """An unreadable row of a page: its id is missing, and given up after `REFUSALS` such rows."""
        number = refused.number
        if number is None or not ledger.is_missing(number):
            return
        ledger.miss(number, server_us, outbox.now_s)
        times = self._refusals.pop(number, 0) + 1
        if times == 1:
            outbox.refused.append((self, refused))
        gap = ledger.gap_of(number)
        if times < REFUSALS or gap is None or not gap.is_bounded(server_us):
            self._refusals[number] = times
            return
        for gap in ledger.give_up(number, number, outbox.now_s, lost=True):
            mark_hole(self, gap.from_us, gap.until_us, outbox, ids=(number, number), reason=refused.reason)
        if not ledger.gaps:
            self._gap_reports.forget()

    def _take(self, ledger: Ledger, trade: Trade, number: int, outbox: Outbox) -> None:
        novelty = ledger.add(number, trade.time_us, outbox.now_s)
        if novelty is Novelty.RESET:
            ledger = self._reset(ledger, outbox)
            novelty = ledger.add(number, trade.time_us, outbox.now_s)
        if novelty is Novelty.LOWER:
            self._lower = trade
            self._ask_at_s, self._asked_in_vain = outbox.now_s + REORDER_S, 0
        elif novelty is not Novelty.SEEN:
            self._publish(trade, number, novelty, outbox)
        lower = self._lower
        if lower is not None and ledger.lower is None:  # no reset: it is taken like any other
            self._lower = None
            self._take(ledger, lower, int(lower.trade_id), outbox)

    def _publish(self, trade: Trade, number: int, novelty: Novelty, outbox: Outbox) -> None:
        if novelty is Novelty.LATE:
            report_late(self, trade, outbox)
        elif novelty is Novelty.NEW:
            report_final(self, trade, outbox)
        is_former = novelty is Novelty.FORMER
        if self.clock is not None:
            self.clock.published(number, trade.price, trade.time_us, former=is_former)
        elif not is_former and (self._last is None or number > int(self._last.trade_id)):
            self._last = trade
        outbox.trades.append((self, trade))
        if self._refusals:
            self._refusals.pop(number, None)

    def _reset(self, ledger: Ledger, outbox: Outbox) -> Ledger:
        """The exchange has reset its ids, and `ledger.lower` is the first new one. Returns the ledger of the new ids.

        It is not known which trades lie between the last old id and the first new one.
        """
        first, first_us = ledger.lower or (ledger.head, ledger.head_us)
        first_missing_us = min(first_us, ledger.gaps[0].from_us if ledger.gaps else ledger.latest_us)
        reason = f"ids fell from {ledger.head} to {first}"
        self.report(
            FeedEventKind.RESET, outbox,
            first_id=str(first), from_us=first_missing_us, until_us=first_us, reason=reason,
        )  # fmt: skip
        if self.clock is None:
            self._last = None
        else:
            self.clock.hole(first_missing_us, first_us)
            self.clock.restart_ids(IdReset(str(first), first_us))
            take_back(self, first_missing_us, first_us, outbox, reason)
            outbox.resets.append((self, self.clock.after_reset()))
        self._gap_reports.forget()
        self._epoch += 1
        self._refusals.clear()
        self.ledger = Ledger(first - 1, first_us, floor=first, former_head=max(ledger.head, ledger.former_head))
        lower, self._lower = self._lower, None
        if lower is not None:
            self._take(self.ledger, lower, int(lower.trade_id), outbox)
        return self.ledger

    def _give_up_overdue(
        self, ledger: Ledger, clock: MarkerClock, server_us: int, overdue_s: float, outbox: Outbox
    ) -> None:
        lost = ledger.give_up_overdue(overdue_s, server_us) if ledger.gaps and self._connection > 0 else ()
        for gap in lost:
            reason = "not filled in time"
            if gap.history_from is not None:
                reason += f": the exchange's history does not reach back so far, it begins with {gap.history_from}"
            mark_hole(self, gap.from_us, gap.until_us, outbox, ids=(gap.first, gap.last), reason=reason)
        if lost and not ledger.gaps:
            self._gap_reports.forget()
        if self._connection > 0 and self._connected_s <= overdue_s and not ledger.gaps:
            self._give_up_joining(ledger, clock, server_us, overdue_s, outbox)

    def _give_up_joining(
        self, ledger: Ledger, clock: MarkerClock, server_us: int, overdue_s: float, outbox: Outbox
    ) -> None:
        """Give up questions that stayed open too long: were ids reset, and what was before the connection?"""
        from_us = max(ledger.head_us, clock.complete_until_us)
        if ledger.lower is not None and ledger.undecided_s is not None and ledger.undecided_s <= overdue_s:
            reason = f"it is not known whether the exchange reset its ids with {ledger.lower.number}"
            mark_hole(self, min(from_us, ledger.latest_us), max(ledger.latest_us, server_us), outbox, reason=reason)
            ledger.give_up_deciding(server_us)
        # A market time from before the connection is no upper time for what may be missing. And if the exchange was not
        # asked in vain yet, we are the slow ones.
        if not self.joined and self._asked_in_vain and server_us >= self._joins_from_us:
            reason = "the exchange did not say whether there were trades"
            mark_hole(self, from_us, max(from_us, server_us), outbox, reason=reason)
            self.joined = True

    def _ask_later(self, request: PageRequest, outbox: Outbox) -> None:
        gap = None if request.known is None or self.ledger is None else self.ledger.behind(request.known)
        if gap is not None:
            gap.ask_at_s = outbox.now_s + pause_s(gap.asked)
            gap.asked += 1
        else:
            self._ask_at_s = outbox.now_s + pause_s(self._asked_in_vain)
            self._asked_in_vain += 1
