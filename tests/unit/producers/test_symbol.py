"""One symbol's feed against an exchange in a few lines: trades, breaks, pages, in any order."""

from collections.abc import Callable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from market.feed import FeedEventKind
from market.trade import Marker, Proof, Side, Trade
from producers.round import Round
from producers.symbol import SymbolFeed, Wanted

MINUTE_US = 60_000_000
START_US = 1_000 * MINUTE_US
TIMEOUT_S = 1_000.0


class World:
    """An exchange with one symbol, a connection that breaks, and the feed; keeps what would stand in Kafka."""

    def __init__(self, newest: Marker | None = None) -> None:
        self.trades: list[Trade] = []
        self.server_us = START_US
        self.carried_us = 0
        self.now_s = 0.0
        self.up = False
        self.held: list[Trade] = []
        self.slow: list[tuple[Wanted, list[Trade]]] = []
        self.log: list[Trade | Marker] = []
        self.events: list[FeedEventKind] = []
        self.feed = SymbolFeed("x", "A-B", native="AB", partition=0, newest=newest, page_trades=3)

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
            self.round(lambda round_: [self.feed.live(one, round_) for one in arriving])

    def connect(self) -> None:
        self.up = True
        self.round(self.feed.connected)

    def disconnect(self) -> None:
        self.up, self.held = False, []
        self.round(lambda round_: self.feed.disconnected("cut", round_))

    def tick(self, after_us: int) -> None:
        """The connection carries the server's time; nothing that was held back is held any longer."""
        self.server_us += after_us
        arriving, self.held = self.held, []
        self.round(lambda round_: [self.feed.live(one, round_) for one in arriving if self.up])

    def ask(self, *, answered: bool = True, slow: bool = False) -> bool:
        """One request, if the feed has one, else False; the answer to a slow one comes with the next."""
        self.now_s += 20.0
        if self.slow:
            self.answer(*self.slow.pop())
            return True
        wanted = self.feed.wanted(self.now_s)
        if wanted is None:
            return False
        if wanted.known is None:
            rows = self.trades[-1:]
        else:
            rows = [trade for trade in self.trades if int(trade.trade_id) >= wanted.known][: wanted.limit]
        if slow:
            self.feed.in_flight = True
            self.slow.append((wanted, rows))
        else:
            self.answer(wanted, rows if answered else None)
        return True

    def answer(self, wanted: Wanted, rows: list[Trade] | None) -> None:
        self.round(lambda round_: self.feed.page(wanted, rows, self.carried_us, round_))

    def round(self, what: Callable[[Round], object]) -> None:
        round_ = Round(self.now_s, 0)
        what(round_)
        self.carried_us = self.server_us if self.up else self.carried_us
        self.feed.settle(self.carried_us, TIMEOUT_S, round_)
        self.log += [marker for _, marker in round_.begins]
        self.log += [trade for _, trade in round_.trades]
        self.log += [marker for _, marker in round_.markers]
        self.events += [event.event for event in round_.events]

    @property
    def markers(self) -> list[Marker]:
        return [record for record in self.log if isinstance(record, Marker)]

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
                before = [one for one in self.trades if one.time_us < until_us]
                missing = [one.trade_id for one in before if one.time_us >= begin_us and one.trade_id not in published]
                assert record.proof is Proof.HOLE or not missing
                assert (record.last_trade_id, record.last_price) == (before[-1].trade_id, before[-1].price)
                latest_us = max((one.time_us for one in self.trades if one.trade_id in published), default=0)
                assert record.published_until_us >= max(until_us, latest_us + 1 if latest_us >= begin_us else 0)


after = st.sampled_from([0, 1_000, 700_000, 20_000_000, 45_000_000, 70_000_000])  # of market time, in microseconds
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["trade", "trade", "trade", "late", "tick", "tick", "up", "up", "down", "ask", "ask", "slow", "no answer"]
        ),
        after,
    ),
    min_size=20,
    max_size=80,
)


@given(steps)
def test_whatever_happens_a_marker_says_what_is_so_and_in_the_end_nothing_is_missing(steps: list) -> None:
    world = World()
    for what, after_us in steps:
        if what in ("trade", "late"):
            world.trade(after_us, held=what == "late")
        elif what == "tick":
            world.tick(after_us)
        elif what in ("ask", "slow", "no answer"):
            world.ask(answered=what == "ask", slow=what == "slow")
        elif (what == "up") != world.up:
            world.connect() if what == "up" else world.disconnect()
    world.trade(1)
    if not world.up:
        world.connect()
    world.trade(1)
    for _ in range(200):
        if not world.ask():
            break
    world.tick(2 * MINUTE_US)
    world.check()
    assert world.feed.settled
    assert world.markers[-1].proof is not Proof.HOLE
    assert world.markers[-1].complete_until_us > world.server_us - MINUTE_US - 1_000_000
    begin_us = world.markers[0].complete_until_us
    expected = [one.trade_id for one in world.trades if one.time_us >= begin_us]
    assert [one for one in sorted(_ids(world), key=int) if one in set(expected)] == expected


def _ids(world: World) -> list[str]:
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


def test_a_return_begins_at_the_newest_marker_and_fills_by_pages() -> None:
    world = begun()
    assert world.feed.begin == Marker(
        complete_until_us=START_US, published_until_us=START_US, proof=Proof.BEGIN,
        last_trade_id="5", last_price=Decimal(5),
    )  # fmt: skip
    for _ in range(8):
        world.trade(40_000_000)
    world.connect()
    world.tick(1)
    assert world.markers == [], "nobody knows yet whether there were trades"
    while world.ask():
        pass
    assert _ids(world) == [str(number) for number in range(6, 14)]
    assert [one.last_trade_id for one in world.markers] == ["6", "7", "9", "10", "12"]
    assert {one.proof for one in world.markers} == {Proof.IDS}


def test_a_quiet_minute_after_a_break_waits_for_the_exchange_to_say_that_nothing_happened() -> None:
    world = begun()
    world.connect()
    world.tick(MINUTE_US + 1_000_000)
    assert world.markers == []
    assert world.ask(answered=False)
    assert world.markers == []
    assert world.ask()
    [marker] = world.markers
    assert (marker.proof, marker.last_trade_id) == (Proof.IDS, "5")


def test_a_jump_that_the_exchange_confirms_is_no_gap() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    world.trade(1_000_000, number=9)  # there is no 7 and 8
    assert world.feed.gaps
    assert world.ask()
    world.tick(MINUTE_US)
    assert not world.feed.gaps
    assert [one.proof for one in world.markers] == [Proof.IDS]


def test_what_does_not_come_in_time_is_a_hole_in_the_minutes_that_it_touches() -> None:
    world = begun()
    world.connect()
    world.trade(30_000_000)
    world.trades.pop()  # the exchange forgets one
    world.trade(10_000_000, number=8)  # 6 came; 7 is missing between 30 s and 40 s
    for _ in range(3):
        world.trade(60_000_000)
    world.ask(answered=False)
    assert [one.proof for one in world.markers] == []
    world.now_s += TIMEOUT_S
    world.tick(0)
    assert FeedEventKind.HOLE in world.events
    assert [one.proof for one in world.markers] == [Proof.HOLE, Proof.IDS, Proof.IDS]


def test_ids_that_begin_anew_are_told_and_followed() -> None:
    world = begun()
    world.connect()
    world.trade(30_000_000)
    world.trade(10_000_000, number=1)
    world.trade(10_000_000, number=2)
    assert FeedEventKind.RESET in world.events
    world.tick(2 * MINUTE_US)
    assert _ids(world) == ["6", "1", "2"]
    assert [(one.proof, one.last_trade_id) for one in world.markers] == [(Proof.HOLE, "2"), (Proof.IDS, "2")]


def test_an_answer_that_was_asked_for_before_a_break_proves_nothing_after_it() -> None:
    world = begun()
    world.connect()
    assert world.ask(slow=True)
    world.disconnect()
    world.trade(1_000_000)
    world.connect()
    assert world.ask()  # only now comes the answer: nothing new
    world.tick(2 * MINUTE_US)
    assert world.markers == []
    while world.ask():
        pass
    assert [(one.proof, one.last_trade_id) for one in world.markers] == [(Proof.IDS, "6")] * 2


def test_a_first_begin_does_not_rest_on_an_answer_from_before_a_break() -> None:
    world = World()
    world.trade(0)
    world.connect()
    assert world.ask(slow=True)
    world.disconnect()
    world.trade(1_000_000)
    world.connect()
    assert world.ask()
    assert world.markers == []
    assert world.ask()
    [begin] = world.markers
    assert (begin.proof, begin.last_trade_id) == (Proof.BEGIN, "2")
