"""One symbol's feed against an exchange in a few lines: trades, breaks, pages, in any order."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from symbol_world import MINUTE_US, START_US, TIMEOUT_S, World, begun, ids

from market.feed import FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Proof
from producers.feed.outbox import Outbox
from producers.feed.symbol import SymbolFeed

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
    world.ask()  # all this asking took so long that the silence is looked into
    assert world.feed.is_caught_up
    assert world.markers[-1].proof is not Proof.HOLE
    assert world.markers[-1].complete_until_us > world.server_us - MINUTE_US - 1_000_000
    begin_us = world.markers[0].complete_until_us
    expected = [trade.trade_id for trade in world.trades if trade.time_us >= begin_us]
    assert [trade_id for trade_id in sorted(ids(world), key=int) if trade_id in set(expected)] == expected


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
    assert ids(world) == [str(number) for number in range(6, 14)]
    assert [marker.last_trade_id for marker in world.markers] == ["6", "7", "9", "10", "12"]
    assert {marker.proof for marker in world.markers} == {Proof.IDS}


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


def test_a_history_that_may_be_older_than_the_connection_is_asked_when_it_can_be_no_longer() -> None:
    feed, outbox = SymbolFeed(MarketKey("x", "A-B"), native="AB", partition=0, lag_s=3.0), Outbox(100.0, 0)
    feed.connected(START_US, outbox)
    assert feed.next_request(102.9) is None
    assert feed.next_request(103.0) is not None


def test_a_jump_that_the_exchange_confirms_is_no_gap() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    world.trade(1_000_000, number=9)  # there is no 7 and 8
    assert world.feed.gaps
    assert world.ask()
    world.tick(MINUTE_US)
    assert not world.feed.gaps
    assert [marker.proof for marker in world.markers] == [Proof.IDS]


def test_what_does_not_come_in_time_is_a_hole_in_the_minutes_that_it_touches() -> None:
    world = begun()
    world.connect()
    world.trade(30_000_000)
    world.trades.pop()  # the exchange forgets one
    world.trade(10_000_000, number=8)  # 6 came; 7 is missing between 30 s and 40 s
    for _ in range(3):
        world.trade(60_000_000)
    world.ask(answered=False)
    assert [marker.proof for marker in world.markers] == []
    world.now_s += TIMEOUT_S
    world.tick(0)
    assert FeedEventKind.HOLE in world.events
    assert [marker.proof for marker in world.markers] == [Proof.HOLE, Proof.IDS, Proof.IDS]


def test_ids_that_begin_anew_are_told_and_followed() -> None:
    world = begun()
    world.connect()
    world.trade(30_000_000)
    world.trade(10_000_000, number=1)
    world.trade(10_000_000, number=2)
    assert FeedEventKind.RESET in world.events
    world.tick(2 * MINUTE_US)
    assert ids(world) == ["6", "1", "2"]
    assert [(marker.proof, marker.last_trade_id) for marker in world.markers] == [(Proof.HOLE, "2"), (Proof.IDS, "2")]


def test_no_marker_goes_beyond_missing_ids_where_times_are_not_in_their_order() -> None:
    world = begun()
    world.connect()
    world.trade(MINUTE_US + 10_000_000)
    world.trade(50_100_000)  # 7, in minute 2
    world.skip(100_000)  # 8: the stream lacks it
    world.trade(100_000)
    early = structs.replace(world.trades[-1], trade_id="10", time_us=START_US + 2 * MINUTE_US - 100_000)
    world.trades.append(early)
    world.live(early)
    world.tick(2 * MINUTE_US)
    world.crash()
    world.connect()
    world.trade(1_000_000)
    world.ask_all()
    world.tick(MINUTE_US)
    assert set(ids(world)) == {"6", "7", "8", "9", "10", "11"}
    assert world.proofs() == dict.fromkeys(range(5), Proof.IDS)


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
    assert [(marker.proof, marker.last_trade_id) for marker in world.markers] == [(Proof.IDS, "6")] * 2


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


def test_a_page_is_asked_for_from_the_known_trade_s_own_time() -> None:
    world = World()
    world.trade(0)
    world.connect()
    world.tick(3 * MINUTE_US)
    assert world.ask(), "the newest trade"
    world.disconnect()
    world.connect()
    assert world.ask()
    assert world.asked is not None
    assert (world.asked.known, world.asked.known_us) == (1, START_US), "some exchanges give pages by time"
