"""The feed of a symbol whose ids prove nothing: trades, breaks, pages of the newest trades, in any order."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_log import LogRecord
from text_world import LAST, MINUTE_US, PAGE_TRADES, SECOND_US, START_US, TIMEOUT_S, TextWorld, begun_in_text

from market.codec import encode_marker, encode_progress
from market.errors import MalformedError
from market.feed import FeedEventKind, Progress
from market.given_candle import GivenCandle
from market.trade import Marker, Proof
from producers.feed.klines import KlineRequest, Klines
from producers.feed.known_ids import KnownIds
from producers.feed.marker_clock import Resumption
from producers.feed.progress import usable
from producers.feed.silence import PATIENCE_S, UNKNOWN_S
from producers.feed.symbol import REFUSALS, SERVER_GRACE_US

after = st.sampled_from([0, 0, 1_000, 300_000, 700_000, 2_000_000, 20_000_000, 45_000_000, 70_000_000])
what = st.sampled_from(
    ["trade"] * 6 + ["late", "unreadable", "spoiled", "again"] + ["tick"] * 3 + ["up"] * 4 + ["down"] * 2 + ["crash"]
    + ["ask"] * 6 + ["slow", "slow", "no answer", "old answer", "short answer"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(begins=st.booleans(), steps=st.lists(st.tuples(what, after), min_size=20, max_size=80))
def test_whatever_happens_no_minute_is_called_connected_that_lacks_a_trade(*, begins: bool, steps: list) -> None:
    world = TextWorld() if begins else begun_in_text()
    for step in steps:
        world.act(*step)
    world.act("up", 0)
    world.trade(SECOND_US)
    world.ask_all()
    assert world.feed.is_caught_up
    world.tick(3 * MINUTE_US)
    world.check()
    assert world.markers[-1].proof is Proof.CONNECTION
    assert world.markers[-1].complete_until_us > world.server_us - MINUTE_US - SECOND_US


def proofs(world: TextWorld) -> list[Proof]:
    return [marker.proof for marker in world.markers]


def events(world: TextWorld, kind: FeedEventKind) -> list[tuple[str | None, str | None]]:
    """The ids of the events of a kind."""
    return [(event.first_id, event.last_id) for event in world.told if event.event is kind]


def joined() -> TextWorld:
    """A symbol whose connection holds since the start, and carried one trade."""
    world = begun_in_text()
    world.connect()
    world.trade(SECOND_US)
    world.ask_all()
    assert world.feed.is_caught_up
    return world


def test_a_first_start_begins_with_the_next_minute_and_marks_while_the_connection_holds() -> None:
    world = TextWorld()
    world.trade()
    world.connect()
    world.tick(SECOND_US)
    world.ask()
    [begin] = world.log
    assert isinstance(begin, Marker)
    assert (begin.proof, begin.complete_until_us) == (Proof.BEGIN, START_US + MINUTE_US)
    assert begin.last_trade_id == world.trades[0].trade_id
    world.trade(MINUTE_US)
    world.tick(MINUTE_US)
    [marker] = world.markers
    assert (marker.complete_until_us, marker.proof) == (START_US + 2 * MINUTE_US, Proof.CONNECTION)
    assert (marker.last_trade_id, marker.last_price) == (world.trades[1].trade_id, world.trades[1].price)


def test_a_first_minute_is_one_that_the_connection_carries_from_its_beginning() -> None:
    world = TextWorld()
    world.trade(60 * SECOND_US - 200_000)
    world.connect()
    world.tick()
    world.ask()
    [begin] = world.log
    assert isinstance(begin, Marker)
    assert begin.complete_until_us == START_US + 2 * MINUTE_US, "trades up to 0:60.3 may have been sent before"


def test_a_return_is_covered_by_a_page_that_begins_before_its_marker() -> None:
    world = begun_in_text()
    world.trade(SECOND_US)
    assert world.feed.begin is not None
    assert world.feed.begin.last_trade_id == LAST
    world.ask()
    assert world.published == [world.trades[1].trade_id], "it is asked for before there is a connection"
    world.connect()
    world.tick(70 * SECOND_US)
    assert world.markers == [], "nobody knows yet what happened since the page"
    world.ask()
    assert proofs(world) == [Proof.CONNECTION]
    assert world.markers[0].last_trade_id == world.trades[1].trade_id


def test_what_an_outage_hid_is_published_from_a_page_and_told_as_a_filled_gap() -> None:
    world = joined()
    world.disconnect()
    missed = [world.trade(SECOND_US).trade_id for _ in range(2)]
    world.connect()
    world.trade(SECOND_US)
    world.ask_all()
    world.tick(MINUTE_US)
    assert proofs(world) == [Proof.CONNECTION]
    assert set(missed) < set(world.published)
    assert len(set(world.published)) == len(world.published)
    assert events(world, FeedEventKind.GAP_FILLED) == [(missed[0], missed[-1])]
    assert world.holes() == []


def test_pages_follow_each_other_while_there_is_no_connection() -> None:
    world = joined()
    world.disconnect()
    for _ in range(7):  # more than a page holds, but never between two pages
        for _ in range(PAGE_TRADES - 1):
            world.trade(SECOND_US)
        world.tick(10 * SECOND_US)
        world.ask()
    assert world.feed.next_request(world.now_s + 0.5) is not None, "the more there is, the sooner it asks again"
    assert world.markers == [], "no minute is over before the connection says so"
    world.connect()
    world.ask_all()
    world.tick(MINUTE_US)
    assert set(proofs(world)) == {Proof.CONNECTION}
    assert len(world.published) == len(world.trades) - 1


def test_an_outage_begins_with_the_last_time_that_the_connection_proved() -> None:
    world = joined()
    world.server_us += 30 * SECOND_US
    world.carried_us = world.server_us  # no round since
    world.disconnect()
    [uncovered] = world.feed.gaps
    assert uncovered.from_us == world.carried_us - SERVER_GRACE_US


def test_what_rest_shows_before_the_stream_is_no_filled_gap() -> None:
    world = joined()
    world.disconnect()
    world.connect()
    early = world.trade(2 * SECOND_US, missed=True)
    world.ask()
    world.live(early)
    world.ask_all()
    assert world.published[-1] == early.trade_id
    assert events(world, FeedEventKind.GAP_FILLED) == []


def test_a_page_out_of_order_proves_nothing() -> None:
    world = joined()
    world.disconnect()
    hidden = world.trade(SECOND_US)
    world.connect()
    world.tick(2 * SECOND_US)
    request = world.feed.next_request(world.now_s)
    assert request is not None
    world.answer(request, [hidden, world.trades[0]])
    assert not world.feed.is_caught_up
    assert world.published[-1] == hidden.trade_id


def test_a_hole_ends_where_the_connection_begins() -> None:
    world = joined()
    world.disconnect()
    world.trade(10 * SECOND_US)
    world.connect()
    began_us = world.server_us
    for _ in range(PAGE_TRADES + 1):
        world.trade(SECOND_US)
    world.ask()
    [(_, until_s)] = world.holes()
    assert until_s == (began_us + SERVER_GRACE_US - START_US) // SECOND_US
    assert world.feed.is_caught_up


def test_what_was_on_its_way_when_the_connection_broke_is_a_hole_though_a_later_page_was_seen() -> None:
    world = joined()
    world.disconnect()
    world.trade(10 * SECOND_US)
    world.connect()
    world.is_stalled = True
    for _ in range(PAGE_TRADES + 1):  # the page begins with the second
        world.trade(SECOND_US, missed=True)
    world.ask()
    world.disconnect()
    world.is_stalled = False
    world.connect()
    world.ask_all()
    world.tick(MINUTE_US)
    assert len(world.holes()) == 2
    world.check()


def test_what_a_full_page_does_not_reach_is_a_hole_at_once() -> None:
    world = joined()
    world.tick(70 * SECOND_US)
    world.disconnect()
    for _ in range(PAGE_TRADES + 2):
        world.trade(10 * SECOND_US)
    world.connect()
    world.ask()
    [(from_s, until_s)] = world.holes()
    page_begins_s = (world.trades[-PAGE_TRADES].time_us - START_US) // SECOND_US
    assert (until_s, from_s) == (page_begins_s, page_begins_s - 31)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert proofs(world) == [Proof.CONNECTION, Proof.HOLE, *[Proof.CONNECTION] * 2]
    world.check()


def test_a_page_that_begins_exactly_at_what_is_covered_does_not_reach_it() -> None:
    world = begun_in_text()
    for _ in range(PAGE_TRADES + 1):  # the first of them is cut off, and has the time of the others
        world.trade()
    world.connect()
    world.ask()
    assert world.holes() == [(0, 0)]
    world.ask_all()
    world.tick(MINUTE_US)
    assert proofs(world) == [Proof.HOLE]


def test_a_short_page_that_does_not_reach_proves_nothing_and_what_it_hides_is_a_hole_in_time() -> None:
    world = joined()
    world.disconnect()
    world.trade(SECOND_US)
    world.trade(SECOND_US)
    world.connect()
    for _ in range(5):
        world.tick(10 * SECOND_US)
        world.ask(known=1)
    world.tick(MINUTE_US)
    assert world.markers == []
    world.tick(int(TIMEOUT_S) * SECOND_US)
    [(from_s, until_s)] = world.holes()
    assert until_s - from_s in (2, 3)
    assert events(world, FeedEventKind.GAP_FILLED) == [(world.trades[-1].trade_id, world.trades[-1].trade_id)]
    assert proofs(world)[:2] == [Proof.HOLE, Proof.CONNECTION]


def test_nothing_is_given_up_before_the_exchange_was_asked() -> None:
    world = joined()
    world.disconnect()
    world.connect()
    world.tick(int(TIMEOUT_S) * SECOND_US)
    world.tick(MINUTE_US)
    assert world.holes() == []
    assert world.markers == []
    world.ask(answered=False)
    assert len(world.holes()) == 1


def test_nothing_is_given_up_before_the_connection_proves_a_later_time() -> None:
    world = joined()
    world.disconnect()
    world.is_stalled = True
    world.connect()
    world.ask(answered=False)
    world.tick(int(TIMEOUT_S) * SECOND_US)
    assert world.holes() == []


def test_a_page_without_what_the_connection_carried_is_too_old() -> None:
    world = joined()
    world.tick(20 * SECOND_US)
    world.disconnect()
    hidden = world.trade(SECOND_US)
    world.connect()
    world.trade(300_000)
    world.ask(behind_us=SECOND_US)  # made before the trade that was hidden
    assert not world.feed.is_caught_up
    world.tick(SECOND_US)
    world.ask()
    assert world.feed.is_caught_up
    assert hidden.trade_id in world.published


def test_an_old_trade_that_the_connection_repeats_does_not_make_a_page_new() -> None:
    world = joined()
    world.tick(20 * SECOND_US)
    world.disconnect()
    old = world.trade(SECOND_US)
    world.trade(SECOND_US)
    world.connect()
    world.live(old)
    world.tick(100_000)
    world.ask(behind_us=SECOND_US)
    assert world.published[-1] == old.trade_id
    assert not world.feed.is_caught_up


def test_a_quiet_symbol_is_not_believed_before_rest_must_have_caught_up() -> None:
    world = joined()
    world.tick(20 * SECOND_US)
    world.disconnect()
    world.trade(SECOND_US)
    world.connect()
    world.tick(500_000)
    world.ask(behind_us=900_000)
    assert not world.feed.is_caught_up
    world.tick(SECOND_US)
    world.ask(behind_us=900_000)
    assert world.feed.is_caught_up
    assert world.trades[-1].trade_id in world.published


def test_an_answer_of_the_connection_before_does_not_join_the_new_one() -> None:
    world = joined()
    world.tick(20 * SECOND_US)
    world.disconnect()
    world.connect()
    world.tick(2 * SECOND_US)
    world.ask(slow=True)
    world.disconnect()
    hidden = world.trade(SECOND_US)
    world.connect()
    world.ask()  # the slow answer comes
    assert not world.feed.is_caught_up
    world.ask_all()
    assert hidden.trade_id in world.published


def test_repeated_messages_are_published_once_and_late_ones_of_marked_minutes_still() -> None:
    world = joined()
    late = world.trade(SECOND_US, missed=True)
    world.trade(0)
    world.again(1)
    world.tick(2 * MINUTE_US)
    assert len(world.published) == 2
    world.live(late)
    assert world.published[-1] == late.trade_id


def test_a_trade_that_cannot_be_read_is_fetched_in_a_page() -> None:
    world = joined()
    unreadable = world.trade(SECOND_US, unreadable=True)
    assert len(world.dead) == 1
    assert not world.feed.is_caught_up
    world.ask_all()
    assert world.published[-1] == unreadable.trade_id
    world.tick(MINUTE_US)
    assert proofs(world) == [Proof.CONNECTION]


def test_an_unreadable_trade_is_looked_for_in_later_pages_only_and_for_a_while() -> None:
    world = joined()
    world.tick(int(TIMEOUT_S) * SECOND_US)
    world.disconnect()
    world.connect()
    world.tick(2 * SECOND_US)
    world.ask(slow=True)
    unreadable = world.trade(SECOND_US, unreadable=True)
    world.ask()  # the slow answer
    assert not world.feed.is_caught_up
    world.ask_all()
    assert world.published[-1] == unreadable.trade_id
    world.tick(int(TIMEOUT_S) * SECOND_US)
    world.trade(0, unreadable=True)
    world.ask(answered=False)
    world.tick(SECOND_US)
    assert world.holes() == []


def test_a_newest_row_that_nobody_can_read_is_a_hole_until_the_connection() -> None:
    world = joined()
    world.tick(10 * SECOND_US)
    world.disconnect()
    before = world.trade(SECOND_US)
    world.act("spoiled", SECOND_US)
    world.connect()
    began_us = world.server_us
    world.ask_all()
    times_us = (before.time_us, began_us + SERVER_GRACE_US)
    assert world.holes() == [tuple((time_us - START_US) // SECOND_US for time_us in times_us)]


def test_a_row_that_nobody_can_read_is_a_hole_between_its_neighbours_after_some_pages() -> None:
    world = joined()
    world.tick(10 * SECOND_US)
    world.disconnect()
    before = world.trade(SECOND_US)
    world.act("spoiled", SECOND_US)
    behind = world.trade(SECOND_US)
    world.connect()
    pages = world.pages
    world.ask_all()
    assert world.pages - pages >= REFUSALS
    assert world.holes() == [((before.time_us - START_US) // SECOND_US, (behind.time_us - START_US) // SECOND_US)]
    assert len(world.dead) == 1
    world.tick(MINUTE_US)
    assert proofs(world) == [Proof.HOLE]


def test_progress_of_a_predecessor_goes_on_and_nothing_of_its_minute_is_lost() -> None:
    world = joined()
    world.tick(MINUTE_US)
    world.trade(SECOND_US)  # after the marker
    world.crash()
    world.connect()
    world.ask_all()
    world.tick(MINUTE_US)
    world.check()
    assert proofs(world) == [Proof.CONNECTION] * 2
    assert world.markers[-1].last_trade_id == world.trades[-1].trade_id


def silent_since_a_minute() -> TextWorld:
    """The connection carries the server's time, but no trades any more; the feed has looked into it."""
    world = joined()
    for _ in range(PAGE_TRADES - 1):
        world.trade(int(UNKNOWN_S) // 2 * SECOND_US, missed=True)
        world.tick()
    world.ask()
    return world


def test_a_silent_subscription_is_noticed_and_what_it_hid_is_published() -> None:
    world = silent_since_a_minute()
    assert len(world.published) == len(world.trades) - 1
    assert world.silent == 0
    world.tick(int(PATIENCE_S) * SECOND_US)
    world.ask()
    assert not world.feed.is_caught_up, "the subscription proves nothing until it brings a trade"
    assert world.silent == 1
    world.disconnect()
    world.connect()
    world.ask_all()
    world.tick(MINUTE_US)
    assert set(proofs(world)) == {Proof.CONNECTION}


def test_what_a_silent_subscription_hid_beyond_a_page_is_taken_back() -> None:
    world = joined()
    for _ in range(PAGE_TRADES + 3):
        world.trade(20 * SECOND_US, missed=True)
        world.tick()
    assert set(proofs(world)) == {Proof.CONNECTION}
    world.ask()
    [(from_s, until_s)] = world.holes()
    assert (from_s, until_s) == tuple(
        (trade.time_us - START_US) // SECOND_US for trade in (world.trades[1], world.trades[-PAGE_TRADES])
    )
    taken_back = [marker.complete_until_us for marker in world.markers if marker.takes_back]
    assert taken_back == [START_US + MINUTE_US, START_US + 2 * MINUTE_US]


def test_a_stream_that_is_only_slower_than_rest_is_not_silent() -> None:
    world = silent_since_a_minute()
    world.live(world.trades[-1])
    world.tick(SECOND_US)
    world.ask_all()
    assert world.feed.is_caught_up
    world.tick(int(PATIENCE_S) * SECOND_US)
    assert world.silent == 0


def test_the_exchanges_own_kline_stands_in_for_a_minute_with_a_hole() -> None:
    world = joined()
    world.feed.klines = Klines()
    world.disconnect()
    for _ in range(PAGE_TRADES + 2):
        world.trade(SECOND_US)
    world.connect()
    world.ask_all()
    world.tick(MINUTE_US)
    assert world.markers == []
    assert not world.feed.is_caught_up
    price = Decimal(1)
    kline = GivenCandle(open_time_ms=START_US // 1000, open=price, high=price, low=price, close=price, volume=price)
    world.feed.klines.answer(KlineRequest(START_US, START_US + MINUTE_US), [kline], world.now_s)
    world.tick()
    assert [(marker.proof, marker.kline) for marker in world.markers] == [(Proof.KLINE, kline)]


def test_a_trade_that_rest_showed_first_after_a_silence_is_no_filled_gap() -> None:
    world = joined()
    late = world.trade(int(UNKNOWN_S) * SECOND_US, missed=True)
    world.tick()
    world.ask()
    assert world.published[-1] == late.trade_id
    world.live(late)
    world.ask_all()
    assert world.feed.is_caught_up
    assert events(world, FeedEventKind.GAP_FILLED) == []


def test_a_retired_symbol_says_nothing_more() -> None:
    world = joined()
    world.feed.retired = True
    world.tick(2 * MINUTE_US)
    assert world.markers == []
    assert world.feed.is_caught_up


def test_progress_whose_last_id_is_a_text_is_usable_where_ids_prove_nothing() -> None:
    world = joined()
    world.tick(MINUTE_US)
    [marker] = world.markers
    progress = Progress(key="x:A-B", complete_until_us=marker.complete_until_us, last_trade_us=world.trades[-1].time_us)
    headers = tuple(encode_marker(marker))
    record = LogRecord("md.progress.v1", 0, 0, 0, b"x:A-B", encode_progress(progress), headers)
    assert usable(record, world.server_us, ids_prove=False) == Resumption(marker, world.trades[-1].time_us)
    with pytest.raises(MalformedError, match="is no number"):
        usable(record, world.server_us, ids_prove=True)


def test_known_ids_are_bounded_and_the_first_are_forgotten_first() -> None:
    known = KnownIds(3)
    assert all(known.add(trade_id, time_us) for time_us, trade_id in enumerate("abc"))
    assert not known.add("a", 0)
    assert known.add("d", 3)
    assert (len(known), known.add("a", 0)) == (3, True)
    known.forget_before(3)
    assert not known.add("d", 3)
    assert known.add("c", 2)
