"""A symbol whose trade ids prove nothing, against an exchange in a few lines: what the tests of that feed share."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from market.candle import trade_order
from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Proof, Side, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed.any_symbol import AnySymbol
from producers.feed.klines import Klines
from producers.feed.marker_clock import Resumption
from producers.feed.outbox import Outbox
from producers.feed.symbol import PageRequest
from producers.feed.text_symbol import TextSymbolFeed

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
START_US = 1_000 * MINUTE_US
TIMEOUT_S = 300.0
PAGE_TRADES = 4
REORDERED_US = 400_000
"""No message is held back for longer than this."""
LAST = "0-of-before"
"""The id of the last trade that `begun_in_text` has a marker of; it happened a second before."""


class _Answer(NamedTuple):
    request: PageRequest
    rows: Sequence[Trade | RefusedTrade] | None


class TextWorld:
    """An exchange with one symbol, a connection that breaks, and the feed; keeps what would stand in Kafka.

    Our time runs as fast as the market's.
    """

    def __init__(self, newest: Marker | None = None) -> None:
        self.trades: list[Trade] = []
        self.delivered: list[str] = []
        """Ids of the trades that reached the feed over the connection."""
        self.spoiled: set[str] = set()
        """Trades that nobody can read."""
        self.server_us = START_US
        self.carried_us = 0
        self.up = False
        self.is_stalled = False
        """Whether the connection carries nothing at the moment, not even the time."""
        self.held: list[Trade] = []
        self.slow: list[_Answer] = []
        self.log: list[Trade | Marker] = []
        self.told: list[FeedEvent] = []
        self.dead: list[RefusedTrade] = []
        self.silent = 0
        """How often the feed said that its subscription is dead."""
        self.progress = Resumption(newest, newest.complete_until_us - SECOND_US) if newest else None
        self.pages = 0
        self.feed = self.start_feed()

    @property
    def now_s(self) -> float:
        return self.server_us / SECOND_US

    def trade(self, after_us: int = 0, *, held: bool = False, missed: bool = False, unreadable: bool = False) -> Trade:
        """A trade happens; over a connection it arrives, or is held back until the next one, or nobody can read it."""
        if after_us > REORDERED_US:
            self.tick()
        self.server_us += after_us
        number = len(self.trades) + 1
        trade = Trade(
            exchange="x", symbol="A-B", trade_id=f"{number * 7919 % 10007:x}-{number}", price=Decimal(number),
            qty=Decimal(1), side=Side.BUY, time_us=self.server_us // 1000 * 1000, seq=number,
        )  # fmt: skip
        self.trades.append(trade)
        if self.up and not missed:
            if unreadable:
                refused = RefusedTrade(b"?", "cannot be read", "A-B")
                self.round(lambda outbox: self.feed.refused(refused, self.server_us, outbox))
            else:
                arriving, self.held = (self.held, [trade]) if held else ([trade, *self.held], [])
                self.live(*arriving)
        return trade

    def live(self, *trades: Trade) -> None:
        """The stream brings trades."""
        self.delivered += [trade.trade_id for trade in trades]
        self.round(lambda outbox: [self.feed.live(trade, outbox) for trade in trades])

    def connect(self) -> None:
        self.up = True
        self.round(lambda outbox: self.feed.connected(self.server_us, outbox))

    def disconnect(self) -> None:
        self.up, self.held = False, []
        self.round(lambda outbox: self.feed.disconnected("lost", self.carried_us, outbox))

    def tick(self, after_us: int = 0) -> None:
        """Time passes, and the connection carries it; nothing that was held back is held any longer."""
        self.server_us += after_us
        arriving, self.held = self.held, []
        if self.up:
            self.live(*arriving)

    def ask(self, *, answered: bool = True, slow: bool = False, behind_us: int = 0, known: int = PAGE_TRADES) -> bool:
        """One request, if the feed has one, else False.

        - `slow`: the answer is made now, and comes with the next call.
        - `behind_us`: the answer is that old.
        - `known`: the exchange has no more than so many trades.
        """
        if self.slow:
            self.answer(*self.slow.pop())
            return True
        request = self.feed.next_request(self.now_s)
        if request is None:
            return False
        assert request.known is None, "only the newest trades can be asked for"
        self.pages += 1
        happened = [trade for trade in self.trades if not behind_us or trade.time_us <= self.server_us - behind_us]
        newest = happened[-min(request.limit, known) :]
        rows = [
            RefusedTrade(b"?", "cannot be read", "A-B") if trade.trade_id in self.spoiled else trade for trade in newest
        ]
        answer = _Answer(request, rows if answered else None)
        if slow:
            self.feed.in_flight = True
            self.slow.append(answer)
        else:
            self.answer(*answer)
        return True

    def answer(self, request: PageRequest, rows: Sequence[Trade | RefusedTrade] | None) -> None:
        page = None if rows is None else TradesPage(rows, is_whole=True)
        self.round(lambda outbox: self.feed.page(request, page, self.carried_us, outbox))

    def act(self, what: str, after_us: int) -> None:
        """Let something happen, after a time."""
        if what in ("trade", "late", "unreadable", "spoiled"):
            trade = self.trade(after_us, held=what == "late", unreadable=what in ("unreadable", "spoiled"))
            if what == "spoiled":
                self.spoiled.add(trade.trade_id)
        elif what in ("ask", "slow", "no answer", "old answer", "short answer"):
            self.tick(after_us)
            behind_us, known = 900_000 * (what == "old answer"), 2 if what == "short answer" else PAGE_TRADES
            self.ask(answered=what != "no answer", slow=what == "slow", behind_us=behind_us, known=known)
        elif what == "again":
            self.again(1 + after_us % 7)
        elif what == "tick":
            self.tick(after_us)
        elif what == "crash":
            self.crash()
        elif (what == "up") != self.up:
            self.connect() if what == "up" else self.disconnect()

    def again(self, nth: int) -> None:
        """The stream repeats the nth of its newest trades."""
        if self.up and len(self.delivered) >= nth:
            self.live(next(trade for trade in self.trades if trade.trade_id == self.delivered[-nth]))

    def ask_all(self, times: int = 100) -> None:
        """Until nothing is asked for, with time for all pauses."""
        for _ in range(times):
            if self.feed.is_caught_up:
                break
            self.tick(SECOND_US)
            self.ask()

    def round(self, what: Callable[[Outbox], object]) -> None:
        outbox = Outbox(self.now_s, 0)
        what(outbox)
        self.carried_us = self.server_us if self.up and not self.is_stalled else self.carried_us
        self.feed.emit_due(self.carried_us, TIMEOUT_S, outbox)
        self.note(outbox.begins)
        self.log += [marker for _, marker in outbox.begins + outbox.taken_back]
        self.log += [trade for _, trade in outbox.trades]
        self.log += [marker for _, marker in outbox.markers]
        self.note(outbox.markers)
        self.told += outbox.events
        self.dead += [refused for _, refused in outbox.refused]
        self.silent += len(outbox.silent)

    def note(self, markers: list[tuple[AnySymbol, Marker]]) -> None:
        if markers and self.feed.clock is not None:
            self.progress = Resumption(markers[-1][1], self.feed.clock.last_trade_us)

    def crash(self) -> None:
        """The feed is killed; another one starts from what Kafka has, and is not connected yet."""
        self.up, self.held, self.slow = False, [], []
        self.carried_us = 0
        self.feed = self.start_feed()

    def start_feed(self) -> TextSymbolFeed:
        market = MarketKey("x", "A-B")
        feed = TextSymbolFeed(market, native="AB", partition=0, resumption=self.progress, page_trades=PAGE_TRADES)
        feed.klines = Klines(lag_s=0.0, patience_s=0.0)  # nobody waits for the exchange's klines
        if feed.begin is not None:
            self.log.append(feed.begin)
        return feed

    @property
    def markers(self) -> list[Marker]:
        return [record for record in self.log if isinstance(record, Marker) and record.proof is not Proof.BEGIN]

    @property
    def published(self) -> list[str]:
        """The ids of the trades in the log, in its order."""
        return [record.trade_id for record in self.log if isinstance(record, Trade)]

    def holes(self) -> list[tuple[int, int]]:
        """The times of the events that tell of holes, in seconds since the start."""
        events = [event for event in self.told if event.event is FeedEventKind.HOLE]
        times_us = [(event.from_us or 0, event.until_us or 0) for event in events]
        return [
            ((from_us - START_US) // SECOND_US, (until_us - START_US) // SECOND_US) for from_us, until_us in times_us
        ]

    def check(self) -> None:
        """Every marker is one that may be believed, and what was carried stands in the log."""
        published: set[str] = set()
        until_us = latest_us = 0
        for record in self.log:
            if isinstance(record, Trade):
                published.add(record.trade_id)
                latest_us = max(latest_us, record.time_us)
            elif record.proof is Proof.BEGIN:
                assert until_us in (0, record.complete_until_us), "a return goes on from the newest marker"
                until_us, latest_us = record.complete_until_us, 0
            else:
                assert record.complete_until_us == until_us + MINUTE_US
                until_us = record.complete_until_us
                assert record.published_until_us > latest_us
                self._check_claim(record, published)
        assert set(self.delivered) <= published

    def _check_claim(self, marker: Marker, published: set[str]) -> None:
        opened_us = marker.complete_until_us - MINUTE_US
        inside = [trade for trade in self.trades if opened_us <= trade.time_us < marker.complete_until_us]
        if marker.proof is Proof.CONNECTION:
            missing = [trade.trade_id for trade in inside if trade.trade_id not in published]
            assert not missing, f"the minute at {opened_us} is connected without {missing}"
            if inside:
                newest = max(inside, key=trade_order)
                assert (marker.last_trade_id, marker.last_price) == (newest.trade_id, newest.price)
        else:
            assert marker.proof is Proof.HOLE
            assert any(
                event.event is FeedEventKind.HOLE
                and (event.from_us or 0) < marker.complete_until_us
                and (event.until_us or 0) >= opened_us
                for event in self.told
            ), f"nobody was told of the hole at {opened_us}"


def begun_in_text() -> TextWorld:
    """A symbol that goes on from a marker at the start; the exchange's history before it is long."""
    world = TextWorld(
        Marker(
            complete_until_us=START_US, published_until_us=START_US + 77, proof=Proof.CONNECTION,
            last_trade_id=LAST, last_price=Decimal(7),
        )
    )  # fmt: skip
    before = Trade(
        exchange="x", symbol="A-B", trade_id=LAST, price=Decimal(7), qty=Decimal(1), side=Side.BUY,
        time_us=START_US - SECOND_US, seq=0,
    )  # fmt: skip
    world.trades.append(before)
    return world
