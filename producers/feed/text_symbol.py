"""One symbol's feed where trade ids prove nothing: what to publish, what to ask for, which markers are due. Pure.

Ids that are any texts (Bybit's) do not show that a trade is missing. Two things show that none is:

- A connection that holds: the exchange sends every trade. So the feed knows up to which moment every trade was
  published, `_covered_us`, and a minute that lies before it is `connected`.
- A page of the newest trades that begins before that moment: the exchange gives the last ones without a gap, so what
  is missing stands in it. Then everything up to its last row is covered, too.

After an outage and at a return the feed asks for such pages, over and over, also while there is no connection: the
exchange has only the newest trades, and there are more of them each second. The outage ends in one of these ways:

- A page that was covered from its beginning reaches the time from which the connection carries every trade.
- Or it is certainly no older than the connection: it holds a trade that the connection carried, or nothing came, and it
  was asked for `RestLimits.lag_s` after the connection. Then what happened before the connection stands in it.
- A full page begins after the covered moment: what lies between is lost, because later pages begin later. It is a
  `hole` at once.
- Nothing came of it in time: all that is not covered is a `hole`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.candle import trade_order
from market.codec import decode_trade
from market.encoded_trades import EncodedTrades
from market.feed import FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Proof, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed.claims import mark_hole
from producers.feed.gap_reports import report_filled_at_once
from producers.feed.klines import Klines
from producers.feed.known_ids import KnownIds
from producers.feed.marker_clock import MarkerClock, Resumption, begin_again, first_begin
from producers.feed.outbox import Outbox
from producers.feed.silence import Silence
from producers.feed.symbol import REFUSALS, SERVER_GRACE_US, PageRequest
from runtime.backoff import pause_s

_NEVER_US = 1 << 62
REMEMBERED_US = 5_000_000
"""While the connection holds, ids are remembered for so long: a page after an outage may repeat these trades."""


class Uncovered(NamedTuple):
    """The time in which trades may be missing; it has no end yet."""

    from_us: int

    @property
    def trades(self) -> int:
        """Nobody knows how many: 0."""
        return 0


class TextSymbolFeed:
    """The state of one symbol since the start of the session.

    - `resumption`: what its newest progress record in Kafka says.
    - `unusable`: why there is no `resumption`, although Kafka has a record.
    - `lag_s`: the exchange's newest trades may be so much older than its stream (`RestLimits.lag_s`).
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
        lag_s: float = 1.0,
    ) -> None:
        self.market, self.native, self.partition = market, native, partition
        self.key = str(market).encode()
        self.in_flight = False
        self.clock: MarkerClock | None = None
        self.begin: Marker | None = None
        self.joined = False
        self.retired = False
        self._unusable = unusable
        self._last: Trade | None = None  # the newest trade before the first `begin`
        self._page_trades = page_trades
        self._lag_s = lag_s
        self._connection = 0  # its number; negative while it is down
        self._connected_s = self._open_s = 0.0  # since when it is up, and since when that time is not joined
        self._carried_from_us = 0  # every trade from here on comes over the connection; `_NEVER_US`: it is silent
        self._covered_us = 0  # every trade before it was published, or lies in a hole
        self._covered_by: str | None = None  # the last trade of the page that covered up to there
        self._known = KnownIds(2 * page_trades)  # a page can repeat no more
        self._carried: Trade | None = None  # the newest trade that this connection carried
        self._filled: tuple[Trade, Trade] | None = None  # the first and the last trade of the outage that pages had
        self._newest: Trade | None = None  # the newest that was published
        self.klines = Klines()
        self._silence = Silence()
        self._looks = False  # whether the exchange is asked because the symbol is unusually silent
        self._ask_at_s = 0.0
        self._asked_in_vain = 0
        self._refusals = 0
        if resumption is not None:
            self.begin = begin_again(resumption.marker)
            self.clock = MarkerClock(self.begin, resumption.last_trade_us, proof=Proof.CONNECTION)
            self._covered_us = self.begin.complete_until_us

    @property
    def gaps(self) -> Sequence[Uncovered]:
        """The outage that is not covered yet, if there is one."""
        return () if self.joined or self.clock is None else (Uncovered(self._covered_us),)

    @property
    def is_caught_up(self) -> bool:
        """Nothing is missing and nothing has to be asked for."""
        is_quiet = self.joined and not (self._looks or self._silence.is_suspected or self.klines.is_waiting)
        return self.retired or (is_quiet and self.clock is not None)

    def connected(self, since_us: int, outbox: Outbox) -> None:
        """The connection carries messages: every trade from `since_us` (the exchange's time) on will come."""
        self._connection = abs(self._connection) + 1
        self._open_s = outbox.now_s
        self._refusals = 0
        self._silence.begin(outbox.now_s)
        self._looks = False
        self._carry_from(since_us, outbox)
        self.report(FeedEventKind.CONNECTED, outbox)

    def _carry_from(self, since_us: int, outbox: Outbox) -> None:
        self._carried_from_us = since_us + SERVER_GRACE_US  # the clocks of trades and of messages may differ
        self._carried = None
        self._connected_s = self._ask_at_s = outbox.now_s
        self._asked_in_vain = 0

    def disconnected(self, reason: str, server_us: int, outbox: Outbox) -> None:
        """The connection is lost; `server_us` is the last market time that it proved."""
        self._leave(server_us)
        self._connection = -abs(self._connection)
        self._ask_at_s, self._asked_in_vain = outbox.now_s, 0
        self.report(FeedEventKind.DISCONNECTED, outbox, reason=reason)

    def _leave(self, server_us: int) -> None:
        """The connection held up to this market time."""
        if self.joined and self.clock is not None:
            self._covered_us = max(self._covered_us, server_us - SERVER_GRACE_US)
        self.joined = False

    def live(self, trade: Trade, outbox: Outbox) -> None:
        """A trade came over the connection. One of a minute that has a marker is published, too: it may be late."""
        self._silence.hear(outbox.now_s)
        if self._carried_from_us == _NEVER_US:
            self._carry_from(trade.time_us, outbox)
            if self._filled is not None and self._filled[0].trade_id == trade.trade_id:  # REST had only been faster
                self._filled = None
        if self.joined:
            self._known.forget_before(trade.time_us - REMEMBERED_US)
        elif trade.time_us >= max(
            self._carried_from_us - SERVER_GRACE_US, self._carried.time_us if self._carried else 0
        ):
            self._carried = trade
        if self._known.add(trade.trade_id, trade.time_us):
            self._publish(trade, outbox)

    def live_together(self, trades: EncodedTrades, outbox: Outbox) -> None:
        """Trades came over the connection one after the other."""
        for value in trades.values:
            self.live(decode_trade(value), outbox)

    def refused(self, refused: RefusedTrade, server_us: int, outbox: Outbox) -> None:
        """An unreadable trade came over the connection, at this market time: a page may have it in a readable form."""
        outbox.refused.append((self, refused))
        if self.clock is None or self._connection < 0:
            return
        if self.joined:
            self._open_s = outbox.now_s
        self._leave(server_us)
        self._connection += 1  # answers that were asked for before prove nothing
        self._carry_from(max(server_us, self._carried_from_us - SERVER_GRACE_US), outbox)

    def page(
        self,
        request: PageRequest,
        page: TradesPage | None,
        server_us: int,  # noqa: ARG002  # the other feed needs it
        outbox: Outbox,
    ) -> None:
        """The answer to a request; `page` None: there was no answer."""
        self.in_flight = False
        if self.clock is None:
            last = page.rows[-1] if page is not None and page.rows else None
            if isinstance(last, Trade) and self._last is None:
                self._last = last
            self._ask_later(outbox)
        elif page is None:
            self._ask_later(outbox)
        else:
            if self.joined and self._looks and self.begin is not None:
                self._look(self.clock, self.begin, [row for row in page.rows if isinstance(row, Trade)], outbox)
            if not self.joined:
                self._read(request, page.rows, outbox)

    def next_request(self, now_s: float) -> PageRequest | None:
        """The page to ask for now, if any: the newest trades."""
        if self.in_flight or now_s < self._ask_at_s:
            return None
        if self.clock is None:  # a symbol that was never traded begins with its first trade
            needs_last = self._last is None and self._connection > 0
            return PageRequest(None, 1, self._connection) if needs_last else None
        if self.joined and not self._looks:
            return None
        carried = self._carried
        is_quiet = carried is None and now_s >= self._connected_s + self._lag_s and self._carried_from_us != _NEVER_US
        return PageRequest(
            None,
            self._page_trades,
            self._connection,
            joins=self._connection > 0 and (carried is not None or is_quiet),
            holds=None if carried is None else carried.trade_id,
        )

    def emit_due(self, server_us: int, fill_timeout_s: float, outbox: Outbox) -> None:
        """Put the events and markers that are due into the outbox; `server_us` is the market time, 0: unknown."""
        if self.retired:
            return
        if self.clock is None:
            if server_us and self._last is not None and self._connection > 0:
                self._begin(self._last, server_us, outbox)
            return
        self._look_into_silence(outbox)
        proven_us = server_us - SERVER_GRACE_US
        is_overdue = self._asked_in_vain and self._open_s <= outbox.now_s - fill_timeout_s
        if not self.joined and self._connection > 0 and is_overdue and server_us >= self._carried_from_us:
            self._lose_until(self._carried_from_us, "the exchange did not show in time what happened", outbox)
            self._join(outbox)
        if self.joined:
            self._covered_us = max(self._covered_us, proven_us)
        # A page may be ahead of the connection's clock, which alone says that a minute is over.
        covered_us = min(self._covered_us, proven_us)
        self.klines.want(self.clock.holes_before(covered_us), outbox.now_s, fill_timeout_s)
        held_us = self.klines.held_until_us(outbox.now_s)
        if held_us is not None:
            covered_us = min(covered_us, held_us)
        outbox.markers.extend((self, marker) for marker in self.clock.due(covered_us, self.klines))

    def report(self, kind: FeedEventKind, outbox: Outbox, **about: str | int) -> None:
        """Put an event about this symbol into the outbox."""
        outbox.report(self.market, kind, **about)

    def _begin(self, last: Trade, server_us: int, outbox: Outbox) -> None:
        self.begin = first_begin(max(server_us, last.time_us, self._carried_from_us), last)
        self.clock = MarkerClock(self.begin, last.time_us, proof=Proof.CONNECTION)
        self._covered_us = self.begin.complete_until_us
        self.joined = True
        outbox.begins.append((self, self.begin))
        if self._unusable is not None:
            self.report(FeedEventKind.HOLE, outbox, until_us=self.begin.complete_until_us, reason=self._unusable)

    def _look_into_silence(self, outbox: Outbox) -> None:
        if self._connection > 0 and self._silence.is_proven(outbox.now_s):
            self._silence.begin(outbox.now_s)
            outbox.silent.append(self)
        elif self.joined and not self._looks and self._silence.is_unusual(outbox.now_s):
            self._looks, self._ask_at_s, self._asked_in_vain = True, outbox.now_s, 0

    def _look(self, clock: MarkerClock, begin: Marker, trades: Sequence[Trade], outbox: Outbox) -> None:
        """A page that was asked for because of a silence: what the stream should have brought is missing since then."""
        self._looks = False
        newest = self._newest
        unseen = [trade for trade in trades if newest is None or trade_order(trade) > trade_order(newest)]
        unseen = [trade for trade in unseen if trade.time_us >= self._carried_from_us]
        self._silence.look(outbox.now_s, shown=bool(unseen))
        if not unseen:
            return
        from_us = max(self._carried_from_us, 0 if newest is None else newest.time_us, begin.complete_until_us)
        self._covered_us, self.joined = min(self._covered_us, from_us), False
        self._open_s = outbox.now_s
        self._connection += 1  # answers that were asked for before prove nothing
        self._carried_from_us, self._carried = _NEVER_US, None
        final = [trade for trade in unseen if trade.time_us < clock.final_until_us]
        if final:
            self.report(
                FeedEventKind.HOLE, outbox,
                first_id=final[0].trade_id, last_id=final[-1].trade_id,
                from_us=final[0].time_us, until_us=final[-1].time_us,
                reason="the stream was silent, and the trades were found when their minutes were final: "
                "a repair has to publish them",
            )  # fmt: skip

    def _publish(self, trade: Trade, outbox: Outbox) -> None:
        newest = self._newest
        if newest is None or trade.time_us > newest.time_us or trade_order(trade) > trade_order(newest):
            self._newest = trade
        if self.clock is not None:
            self.clock.published_in_time(trade)
        elif self._last is None or trade_order(trade) > trade_order(self._last):
            self._last = trade
        outbox.trades.append((self, trade))

    def _read(self, request: PageRequest, rows: Sequence[Trade | RefusedTrade], outbox: Outbox) -> None:
        """Publish what is new in a page, and cover what it proves."""
        trades = [row for row in rows if isinstance(row, Trade)]
        new = [
            trade
            for trade in trades
            if trade.time_us >= self._covered_us and self._known.add(trade.trade_id, trade.time_us)
        ]
        for trade in new:
            self._publish(trade, outbox)
        missed = [trade for trade in new if self._connection <= 0 or trade.time_us < self._carried_from_us]
        if missed:  # the others come over the connection, too
            self._filled = (self._filled[0] if self._filled else missed[0]), missed[-1]
        if self._proves(request, rows, trades, outbox):
            covered_us = self._covered_us
            self._cover(request, rows, outbox)
            if self._covered_us > covered_us:
                self._asked_in_vain = 0
        if not self.joined:
            self._ask_later(outbox)

    def _proves(
        self,
        request: PageRequest,
        rows: Sequence[Trade | RefusedTrade],
        trades: Sequence[Trade],
        outbox: Outbox,
    ) -> bool:
        """Whether a page proves anything: it is in order, and reaches back to what is covered or never will again.

        A page with an unreadable row is asked for again, `REFUSALS` times in a row.
        """
        times_us = [trade.time_us for trade in trades]
        if not trades or times_us != sorted(times_us):
            return False
        # A short page that does not reach back may be the answer of a server that knows little: another may know more.
        uncovered = self._uncovered(rows)
        if not self._is_covered(uncovered[0]) and len(rows) < request.limit:
            return False
        refused = [row for row in uncovered if isinstance(row, RefusedTrade)]
        if refused and not self._refusals:
            outbox.refused.extend((self, row) for row in refused)
        self._refusals = (self._refusals + 1) % REFUSALS if refused else 0
        return not self._refusals

    def _uncovered(self, rows: Sequence[Trade | RefusedTrade]) -> Sequence[Trade | RefusedTrade]:
        """The rows from the last trade on that is covered; if there is none, from the first trade on."""
        first = next(index for index, row in enumerate(rows) if isinstance(row, Trade))
        return rows[max([index for index, row in enumerate(rows) if self._is_covered(row)], default=first) :]

    def _is_covered(self, row: Trade | RefusedTrade) -> bool:
        return isinstance(row, Trade) and (row.time_us < self._covered_us or row.trade_id == self._covered_by)

    def _cover(self, request: PageRequest, rows: Sequence[Trade | RefusedTrade], outbox: Outbox) -> None:
        """Cover what a page in order proves; its trades were published."""
        is_connected, is_unreadable = self._connection > 0, False
        has_carried = request.holds in (None, *(row.trade_id for row in rows if isinstance(row, Trade)))
        rows = self._uncovered(rows)
        for row in rows:
            if isinstance(row, RefusedTrade):
                is_unreadable = True
                continue
            if row is rows[0] and not self._is_covered(row):
                if not is_connected:  # the connection decides how much is lost
                    return
                reason = f"the exchange's newest {len(rows)} trades begin with {row.trade_id}, after what is known"
                self._lose_until(min(row.time_us, self._carried_from_us), reason, outbox)
                if self._covered_us == self._carried_from_us:
                    break
            elif is_unreadable:
                self._lose_until(row.time_us, "a row of the exchange's history is no trade", outbox)
            is_unreadable = False
            if row.time_us >= self._covered_us:
                self._covered_us, self._covered_by = row.time_us, row.trade_id
        is_of_now = request.joins and request.connection == self._connection and has_carried
        if is_of_now and is_unreadable:
            self._lose_until(self._carried_from_us, "the newest row of the exchange's history is no trade", outbox)
        if is_of_now or (is_connected and self._covered_us >= self._carried_from_us):
            self._join(outbox)

    def _lose_until(self, until_us: int, reason: str, outbox: Outbox) -> None:
        """What is not covered up to this time, inclusive, is lost."""
        until_us = max(until_us, self._covered_us)
        mark_hole(self, self._covered_us, until_us, outbox, reason=reason)
        self._covered_us = until_us

    def _join(self, outbox: Outbox) -> None:
        self.joined, self._refusals = True, 0
        if self._filled is not None:
            report_filled_at_once(self, self._filled, outbox)
            self._filled = None

    def _ask_later(self, outbox: Outbox) -> None:
        self._ask_at_s = outbox.now_s + pause_s(self._asked_in_vain)
        self._asked_in_vain += 1
