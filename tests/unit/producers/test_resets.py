"""One symbol's feed when the exchange begins its ids anew: a reset."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symbol_world import MINUTE_US, START_US, TIMEOUT_S, World, begun, ids

from market.feed import FeedEventKind
from market.trade import Marker, Proof, Side, Trade
from producers.feed.marker_clock import IdReset
from producers.feed.outbox import Outbox

FIRST_IDS = (1_001, 501, 251, 101)
"""Where ids begin: at first, and after each reset."""


def behind_1000() -> World:
    """A symbol that goes on from a marker behind trade 1000."""
    world = World(
        Marker(
            complete_until_us=START_US, published_until_us=START_US, proof=Proof.IDS,
            last_trade_id="1000", last_price=Decimal(5),
        )
    )  # fmt: skip
    world.trades = [trade_of(1_000, START_US)]
    return world


def trade_of(number: int, time_us: int) -> Trade:
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(number), price=Decimal(1), qty=Decimal(1), side=Side.BUY,
        time_us=time_us,
    )  # fmt: skip


def undecided() -> World:
    """Ids began anew with 500, the first trade that came; nothing was asked since."""
    world = behind_1000()
    world.connect()
    world.trade(10_000_000)
    world.trades = []
    world.trade(60_000_000, number=500)
    assert FeedEventKind.RESET not in world.events
    return world


def test_the_history_behind_a_lower_id_decides_after_the_connection_was_lost() -> None:
    world = undecided()
    world.disconnect()
    for _ in range(5):
        world.trade(70_000_000)
    world.connect()
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert ids(world) == ["1001", "500", "501", "502", "503", "504", "505"]
    assert world.about(FeedEventKind.RESET) == [("500", None)]
    holes = [minute for minute, proof in world.proofs().items() if proof is Proof.HOLE]
    assert holes == [0, 1], "between 1001 and 500"
    assert max(world.proofs()) == 7


def test_a_history_that_ends_with_the_lower_id_decides_too() -> None:
    world = undecided()
    world.ask_all()
    assert ids(world) == ["1001", "500"]
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE, 2: Proof.IDS}


def test_a_history_that_knows_nothing_of_a_reset_yet_decides_nothing() -> None:
    world = undecided()
    world.told_as = lambda _: [trade_of(500, START_US - 600), trade_of(501, START_US - 500)]
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert (ids(world), world.proofs()) == (["1001"], {})
    world.told_as = list
    world.trade(1_000_000)
    world.tick(2 * MINUTE_US)
    assert ids(world) == ["1001", "500", "501"]


def test_a_question_that_was_given_up_is_decided_later() -> None:
    world = undecided()
    world.history = lambda _: []
    world.ask_all()
    world.now_s += 2 * TIMEOUT_S
    world.tick(3 * MINUTE_US)
    assert world.proofs() == dict.fromkeys(range(4), Proof.HOLE)
    world.disconnect()
    for _ in range(3):
        world.trade(10_000_000)
    world.history = list
    world.connect()
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert ids(world) == ["1001", "500", "501", "502", "503"]
    assert {proof for minute, proof in world.proofs().items() if minute > 4} == {Proof.IDS}


def test_an_old_trade_that_comes_in_between_decides_nothing() -> None:
    world = undecided()
    world.live(trade_of(1_002, START_US + 20_000_000))  # before 500
    world.trade(1_000_000)
    assert ids(world) == ["1001", "1002", "500", "501"]
    assert FeedEventKind.RESET in world.events


def test_a_low_id_after_a_restart_lets_nothing_go_until_it_is_decided_whether_ids_begin_anew() -> None:
    world = World(
        Marker(
            complete_until_us=START_US, published_until_us=START_US, proof=Proof.IDS,
            last_trade_id="1000", last_price=Decimal(5),
        )
    )  # fmt: skip
    world.trades = [trade_of(1_000, START_US)]
    world.server_us += 3 * MINUTE_US
    world.connect()
    world.history = lambda _: []
    world.trade(1_000_000, number=500)
    world.trade(0, number=500)
    assert not world.feed.joined
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {}
    world.trade(1_000_000, number=501)
    world.tick(MINUTE_US)
    assert FeedEventKind.RESET in world.events
    assert world.proofs() == dict.fromkeys(range(4), Proof.HOLE) | dict.fromkeys((4, 5), Proof.IDS)


def test_a_low_id_while_connected_holds_the_markers_for_a_time() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.trade(10_000_000, number=2)
    world.tick(3 * MINUTE_US)
    assert world.proofs() == {}
    world.now_s += 2 * TIMEOUT_S
    world.tick(0)
    assert world.proofs() == dict.fromkeys(range(3), Proof.HOLE)
    world.tick(2 * MINUTE_US)
    assert world.proofs()[4] is Proof.IDS


def ids_began_anew() -> World:
    """Trades 1 and 2 come after 9; 3 and 4 are missed; 5 comes."""
    world = begun()
    world.connect()
    world.trade(1_000_000, number=9)
    world.trade(70_000_000, number=1)
    world.trade(1_000_000, number=2)
    world.skip(130_000_000)
    world.skip(1_000_000)
    world.trade(1_000_000, number=5)
    world.trades = world.trades[6:]  # the exchange has none of before
    return world


def test_a_feed_that_is_killed_after_ids_began_anew_goes_on_with_the_new_ones() -> None:
    world = ids_began_anew()
    world.crash()
    world.trade(10_000_000)
    world.connect()
    world.trade(10_000_000)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert {"3", "4", "5", "6", "7"} <= set(ids(world))
    assert world.events.count(FeedEventKind.RESET) == 1
    holes = [minute for minute, proof in world.proofs().items() if proof is Proof.HOLE]
    assert holes == [0, 1], "what lay between 9 and 2 can't be told"
    assert {proof for minute, proof in world.proofs().items() if minute > 1} == {Proof.IDS}
    world.tick(MINUTE_US)
    assert world.progress is not None
    assert (world.progress[0].last_trade_id, world.progress[2]) == ("7", None)


def test_a_trade_of_the_old_ids_that_comes_late_is_not_the_last_one_of_a_marker() -> None:
    world = ids_began_anew()
    world.live(trade_of(8, START_US + 60_000_000))  # before the reset, at 71 s, and in its minute
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert "8" in ids(world)
    assert [marker.last_trade_id for marker in world.markers[-4:]] == ["2", "2", "5", "5"]
    world.crash()
    world.connect()
    world.trade(10_000_000)
    world.trade(1_000_000)
    assert world.events.count(FeedEventKind.RESET) == 1


def test_a_reset_is_noted_before_its_trades_are_published_and_after_what_it_takes_back() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    world.tick(5 * MINUTE_US)  # minutes are marked
    world.trade(1_000_000, number=1)
    world.server_us += 1_000_000
    outbox = Outbox(world.now_s, 0)
    world.feed.live(trade_of(2, world.server_us), outbox)
    assert [one.trade_id for _, one in outbox.trades] == ["1", "2"]
    assert {marker.takes_back for _, marker in outbox.taken_back} == {True}
    [(_, noted)] = outbox.resets
    clock = world.feed.clock
    assert clock is not None
    assert (noted.complete_until_us, noted.last_trade_id) == (clock.complete_until_us, "6")
    first_us = world.server_us - 1_000_000
    assert clock.reset_behind(noted) == IdReset("1", first_us)
    world.note(outbox.resets)
    world.crash()  # before the trades went out
    world.trades[:] = [trade_of(1, first_us), trade_of(2, world.server_us), trade_of(3, world.server_us)]
    world.connect()
    world.ask_all()
    assert ids(world)[-3:] == ["1", "2", "3"]


def test_an_answer_to_a_question_about_old_ids_says_nothing_about_new_ones() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000, number=9)
    assert world.ask(slow=True)
    world.trade(1_000_000, number=1)
    world.trade(1_000_000, number=2)
    assert FeedEventKind.RESET in world.events
    assert world.ask()
    assert not world.feed.gaps
    assert world.feed.ledger is not None
    assert world.feed.ledger.head == 2


def test_one_lower_id_at_a_later_time_is_no_reset() -> None:
    world = begun()
    world.connect()
    for _ in range(3):
        world.trade(1_000_000)
    world.trade(1_000_000, number=7)
    world.trade(1_000_000, number=9)
    assert FeedEventKind.RESET not in world.events
    assert ids(world) == ["6", "7", "8", "9"]


@pytest.mark.parametrize("is_killed", [False, True])
def test_ids_that_were_reset_in_an_outage_and_came_as_far_again_leave_a_hole(*, is_killed: bool) -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.tick(MINUTE_US)
    world.crash() if is_killed else world.disconnect()
    world.trades = []
    for _ in range(9):
        world.trade(1_000_000)
    world.connect()
    world.trade(1_000_000)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert ids(world) == ["6", "10", "7", "8", "9"]
    assert (world.proofs()[1], world.proofs()[2]) == (Proof.HOLE, Proof.IDS)


kinds = st.sampled_from(["up", "down", "trade", "trade", "skip", "reset", "tick", "ask", "silence", "crash", "wait"])
after_us = st.sampled_from([1_000, 1_000_000, 20_000_000, 70_000_000])
steps = st.lists(st.tuples(kinds, after_us), max_size=50)


@settings(max_examples=400, deadline=None)
@given(steps)
def test_whatever_ids_do_no_minute_is_complete_without_its_trades_and_what_rest_has_is_there(
    steps: list[tuple[str, int]],
) -> None:
    play(steps)


def play(steps: list[tuple[str, int]]) -> None:
    """Let it all happen; then the exchange answers everything."""
    world = behind_1000()
    ever: list[Trade] = []  # of all eras
    eras = [world.trades]
    for what, after_us in steps:
        step(world, eras, what, after_us)
    if not world.up:
        world.connect()
    step(world, eras, "trade", 1_000_000)
    step(world, eras, "trade", 1_000_000)
    world.ask_all()
    world.tick(3 * MINUTE_US)
    ever = [trade for era in eras for trade in era]
    logged = set(ids(world))
    if not any(what in ("silence", "wait") for what, _ in steps):
        first = next(index for index, trade in enumerate(world.trades) if trade.trade_id in logged)
        missing = [trade.trade_id for trade in world.trades[first:] if trade.trade_id not in logged]
        assert not missing
    world.trades = ever
    world.check_claims({1_000})


def step(world: World, eras: list[list[Trade]], what: str, after_us: int) -> None:
    if what in ("up", "down"):
        if (what == "up") != world.up:
            world.server_us += 1_000_000
            world.connect() if what == "up" else world.disconnect()
    elif what in ("trade", "skip"):
        number = None if world.trades else FIRST_IDS[len(eras) - 1]
        was_up, world.up = world.up, world.up and what == "trade"
        world.trade(after_us, number=number)
        world.up = was_up
    elif what == "reset":
        if world.trades and len(eras) < len(FIRST_IDS):
            world.trades = []
            eras.append(world.trades)
    elif what == "tick":
        world.tick(after_us)
    elif what == "crash":
        world.crash()
    elif what == "wait":
        world.now_s += TIMEOUT_S
        world.tick(0)
    else:
        world.ask(answered=what == "ask")
