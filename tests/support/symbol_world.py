"""One symbol's feed against an exchange in a few lines: what the tests of the feed's rules share."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Proof, Side, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed.klines import Klines
from producers.feed.marker_clock import Resumption
from producers.feed.outbox import Outbox
from producers.feed.symbol import PageRequest, SymbolFeed

MINUTE_US = 60_000_000
START_US = 1_000 * MINUTE_US
TIMEOUT_S = 1_000.0
BEGUN = 5
"""The last trade that `begun` has a marker of."""


class World:
    """An exchange with one symbol, a connection that breaks, and the feed; keeps what would stand in Kafka."""

    def __init__(self, newest: Marker | None = None, *, gives_klines: bool = False) -> None:
        self.gives_klines = gives_klines
        """False: nobody waits for the exchange's klines."""
        self.trades: list[Trade] = []
        self.server_us = START_US
        self.carried_us = 0
        self.now_s = 0.0
        self.up = False
        self.length = 0
        self.asked: PageRequest | None = None
        self.is_clock_known = True
        self.held: list[Trade] = []
        self.slow: list[tuple[PageRequest, list[Trade]]] = []
        self.log: list[Trade | Marker] = []
        self.told: list[FeedEvent] = []
        self.dead: list[RefusedTrade] = []
        self.silent = 0
        """How often the subscription was said to be dead."""
        self.progress = Resumption(newest, START_US) if newest else None  # its last trade is of that time
        """What the progress topic says."""
        self.history: Callable[[list[Trade]], list[Trade]] = list
        """What the exchange's history has of its trades."""
        self.told_as: Callable[[list[Trade]], Sequence[Trade | RefusedTrade]] = list
        """What it makes of the rows that it should answer."""
        self.feed = self.begin_feed()

    def trade(self, after_us: int, *, held: bool = False, number: int | None = None) -> None:
        """A trade happens; over a connection it arrives, or is held back until the next one."""
        self.server_us += after_us
        number = number or (int(self.trades[-1].trade_id) + 1 if self.trades else 1)
        trade = Trade(
            exchange="x", symbol="A-B", trade_id=str(number), price=Decimal(number), qty=Decimal(1), side=Side.BUY,
            time_us=self.server_us,
        )  # fmt: skip
        self.trades.append(trade)
        if self.up:
            arriving, self.held = (self.held, [trade]) if held else ([trade, *self.held], [])
            self.round(lambda outbox: [self.feed.live(trade, outbox) for trade in arriving])

    def skip(self, after_us: int) -> Trade:
        """A trade happens that the stream does not carry."""
        was_up, self.up = self.up, False
        self.trade(after_us)
        self.up = was_up
        return self.trades[-1]

    def live(self, trade: Trade) -> None:
        """The stream brings a trade of before."""
        self.round(lambda outbox: self.feed.live(trade, outbox))

    def connect(self) -> None:
        self.up = True
        self.round(lambda outbox: self.feed.connected(self.server_us, outbox))

    def disconnect(self) -> None:
        self.up, self.held = False, []
        self.round(lambda outbox: self.feed.disconnected("lost", self.carried_us, outbox))

    def tick(self, after_us: int) -> None:
        """The connection carries the server's time; nothing that was held back is held any longer."""
        self.server_us += after_us
        arriving, self.held = self.held, []
        self.round(lambda outbox: [self.feed.live(trade, outbox) for trade in arriving if self.up])

    def ask(self, *, answered: bool = True, slow: bool = False) -> bool:
        """One request, if the feed has one, else False; the answer to a slow one comes with the next."""
        self.now_s += 20.0
        if self.slow:
            self.answer(*self.slow.pop())
            return True
        request = self.asked = self.feed.next_request(self.now_s)
        if request is None:
            return False
        if request.known is None:
            rows = self.trades[-1:]
        else:
            had = self.history(self.trades)
            times_us = [trade.time_us for trade in self.trades if int(trade.trade_id) - request.known in (0, 1)]
            assert not times_us or request.known_us <= max(times_us), "some exchanges give pages by time"
            rows = [trade for trade in had if int(trade.trade_id) >= request.known][: request.limit]
        if slow:
            self.feed.in_flight = True
            self.slow.append((request, rows))
        else:
            self.answer(request, self.told_as(rows) if answered else None)
        return True

    def answer(self, request: PageRequest, rows: Sequence[Trade | RefusedTrade] | None) -> None:
        page = None if rows is None else TradesPage(rows, is_whole=len(rows) < request.limit)
        self.round(lambda outbox: self.feed.page(request, page, self.carried_us, outbox))

    def round(self, what: Callable[[Outbox], object]) -> None:
        outbox = Outbox(self.now_s, 0)
        what(outbox)
        self.carried_us = self.server_us if self.up else self.carried_us
        self.feed.emit_due(self.carried_us if self.is_clock_known else 0, TIMEOUT_S, outbox)
        self.note(outbox.begins)
        self.log += [marker for _, marker in outbox.begins + outbox.taken_back]
        self.note(outbox.resets)
        self.log += [trade for _, trade in outbox.trades]
        self.log += [marker for _, marker in outbox.markers]
        self.note(outbox.markers)
        self.told += outbox.events
        self.silent += len(outbox.silent)
        self.dead += [refused for _, refused in outbox.refused]

    def note(self, markers: list[tuple[SymbolFeed, Marker]]) -> None:
        if markers and self.feed.clock is not None:
            clock, marker = self.feed.clock, markers[-1][1]
            self.progress = Resumption(marker, clock.last_trade_us, clock.reset_behind(marker))

    def crash(self) -> None:
        """The feed is killed; another one starts from what Kafka has, and is not connected yet."""
        self.up, self.held, self.slow = False, [], []
        self.feed = self.begin_feed()

    def begin_feed(self) -> SymbolFeed:
        feed = SymbolFeed(MarketKey("x", "A-B"), native="AB", partition=0, resumption=self.progress, page_trades=3)
        if not self.gives_klines:
            feed.klines = Klines(lag_s=0.0, patience_s=0.0)
        return feed

    @property
    def events(self) -> list[FeedEventKind]:
        return [event.event for event in self.told]

    def about(self, kind: FeedEventKind) -> list[tuple[str | None, str | None]]:
        """The ids of the events of a kind."""
        return [(event.first_id, event.last_id) for event in self.told if event.event is kind]

    def proofs(self) -> dict[int, Proof]:
        """Minute, counted from the start, to what was last said of it."""
        return {
            (marker.complete_until_us - START_US) // MINUTE_US - 1: marker.proof
            for marker in self.markers
            if marker.proof is not Proof.BEGIN
        }

    def ask_all(self) -> None:
        """Until nothing is asked for, or nothing new comes for a while."""
        in_vain = 0
        while in_vain < 10 and self.ask():  # less than until gaps are given up
            before, in_vain = self.length, in_vain + 1
            self.length = len(self.log)
            in_vain = 0 if self.length > before else in_vain

    @property
    def markers(self) -> list[Marker]:
        return [record for record in self.log if isinstance(record, Marker)]

    def check_claims(self, absent: set[int]) -> None:
        """A minute that is last called complete has all its trades, but those that the exchange showed to be absent.

        What was found missing when its minute was final is told as a hole.
        """
        known = {int(record.trade_id) for record in self.log if isinstance(record, Trade)} | set(range(BEGUN + 1))
        holes = [event for event in self.told if event.event is FeedEventKind.HOLE]
        for minute, proof in self.proofs().items():
            opened_us = START_US + minute * MINUTE_US
            for trade in self.trades if proof is Proof.IDS else ():
                number = int(trade.trade_id)
                if not opened_us <= trade.time_us < opened_us + MINUTE_US or number in known | absent:
                    continue
                assert any(
                    int(hole.first_id or 0) <= number <= int(hole.last_id or 0)
                    and (hole.from_us or 0) <= trade.time_us <= (hole.until_us or 0)
                    for hole in holes
                ), f"minute {minute} is complete without {number}"
                assert trade.time_us < self.markers[-1].complete_until_us - 10 * MINUTE_US

    def check(self) -> None:
        """Each marker of proof `ids` has every trade of its minutes before it; none is published twice."""
        published: set[str] = set()
        begin_us = until_us = self.markers[0].complete_until_us if self.markers else 0
        for record in self.log:
            if isinstance(record, Trade):
                assert record.trade_id not in published
                published.add(record.trade_id)
            elif record.proof is Proof.BEGIN:
                assert not published, "a begin comes before the trades"
            else:
                assert record.complete_until_us == until_us + MINUTE_US
                until_us = record.complete_until_us
                before = [trade for trade in self.trades if trade.time_us < until_us]
                missing = [
                    trade.trade_id for trade in before if trade.time_us >= begin_us and trade.trade_id not in published
                ]
                assert record.proof is Proof.HOLE or not missing
                assert (record.last_trade_id, record.last_price) == (before[-1].trade_id, before[-1].price)
                latest_us = max((trade.time_us for trade in self.trades if trade.trade_id in published), default=0)
                assert record.published_until_us >= max(until_us, latest_us + 1 if latest_us >= begin_us else 0)


def ids(world: World) -> list[str]:
    """Of the trades in the log, in its order."""
    return [record.trade_id for record in world.log if isinstance(record, Trade)]


def begun() -> World:
    """A symbol that goes on from a marker behind trade 5."""
    world = World(
        Marker(
            complete_until_us=START_US, published_until_us=START_US + 77, proof=Proof.IDS,
            last_trade_id="5", last_price=Decimal(5),
        )
    )  # fmt: skip
    for _ in range(5):
        world.trade(0)
    return world
