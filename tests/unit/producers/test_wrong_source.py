"""One symbol's feed when the exchange is short, contradicts itself or takes back what it said."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symbol_world import BEGUN, MINUTE_US, START_US, TIMEOUT_S, World, begun, ids

from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.trade import Proof, Side, Trade
from producers.exchange import RefusedTrade
from producers.feed.symbol import REFUSALS, SymbolFeed

Rows = list[Trade]


def from_id(least: int) -> Callable[[Rows], Rows]:
    """A history that is short."""
    return lambda rows: [row for row in rows if int(row.trade_id) >= least]


def without(*lacking: int) -> Callable[[Rows], Rows]:
    """A history that silently lacks ids."""
    return lambda rows: [row for row in rows if int(row.trade_id) not in lacking]


def broken(number: int) -> Callable[[Rows], Sequence[Trade | RefusedTrade]]:
    """A history with a row that is no trade."""
    return lambda rows: [
        RefusedTrade(b"?", "price is 0", "A-B", number) if row.trade_id == str(number) else row for row in rows
    ]


def after_an_outage(*, until: int = 14) -> World:
    """Trades 6 to 13, one every 20 s, happened while nobody listened; then the feed is connected."""
    world = begun()
    for _ in range(6, until):
        world.trade(20_000_000)
    world.connect()
    return world


def test_a_history_that_is_short_leaves_the_gap_a_gap_and_what_it_touches_a_hole() -> None:
    world = after_an_outage()
    world.history = from_id(10)
    world.ask_all()
    assert ids(world) == ["10", "11", "12", "13"], "what it gives is taken"
    assert world.proofs() == {}, "markers wait"
    assert FeedEventKind.GAP_FILLED not in world.events
    world.now_s += TIMEOUT_S
    world.tick(MINUTE_US)
    assert world.about(FeedEventKind.HOLE) == [("6", "9")]
    [hole] = [event for event in world.told if event.event is FeedEventKind.HOLE]
    assert "begins with 10" in (hole.reason or "")
    # 6 … 9 lie between the start and 10, at 100 s: two minutes, and no more
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE, 2: Proof.IDS}


def test_a_history_that_is_short_until_it_is_mended_is_filled() -> None:
    world = after_an_outage()
    world.history = from_id(10)
    for _ in range(4):
        world.ask()
    world.history = list
    world.ask_all()
    world.tick(MINUTE_US)
    assert sorted(ids(world), key=int) == [str(number) for number in range(6, 14)]
    assert set(world.proofs().values()) == {Proof.IDS}
    assert FeedEventKind.HOLE not in world.events


def test_an_empty_page_says_nothing_of_a_quiet_symbol() -> None:
    world = begun()
    world.connect()
    world.history = from_id(99)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {}
    world.history = list
    assert world.ask(), "a page with the known trade alone does"
    world.tick(1_000_000)
    assert world.proofs() == {0: Proof.IDS, 1: Proof.IDS}


def test_a_quiet_symbol_that_nobody_asked_for_yet_is_no_hole() -> None:
    world = begun()
    world.connect()
    world.now_s += 2 * TIMEOUT_S  # requests wait for their turn
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {}
    world.history = from_id(99)
    assert world.ask()
    world.tick(1_000_000)
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE}


def test_a_full_page_does_not_say_that_there_is_nothing_behind_it() -> None:
    world = after_an_outage(until=8)
    assert world.ask()
    assert ids(world) == ["6", "7"]
    assert not world.feed.joined
    assert world.ask()
    assert world.feed.joined


def test_what_a_page_shows_side_by_side_is_a_jump_though_it_begins_late() -> None:
    world = after_an_outage()
    world.history = lambda rows: from_id(10)(without(11, 12)(rows))
    world.ask_all()
    assert [(gap.first, gap.last) for gap in world.feed.gaps] == [(6, 9)]


def test_a_page_out_of_order_gives_its_rows_and_proves_nothing() -> None:
    world = after_an_outage(until=8)
    world.trade(1_000_000, number=10)  # there is no 8 and 9
    world.told_as = lambda rows: rows[::-1]
    world.ask_all()
    assert ids(world) == ["10", "6", "7"]
    assert [(gap.first, gap.last) for gap in world.feed.gaps] == [(8, 9)]
    world.told_as = list
    world.ask_all()
    assert not world.feed.gaps


def test_an_id_that_one_page_tells_twice_with_two_contents_is_told() -> None:
    world = after_an_outage(until=7)
    other = Trade(
        exchange="x", symbol="A-B", trade_id="6", price=Decimal(99), qty=Decimal(1), side=Side.BUY, time_us=START_US
    )
    world.told_as = lambda rows: [*rows, other]
    world.ask()
    assert world.about(FeedEventKind.CONFLICT) == [("6", "6")]
    assert [record.price for record in world.log if isinstance(record, Trade)] == [6]


def test_an_id_called_absent_that_comes_after_all_is_published_and_its_minute_taken_back() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000, number=6)
    late = world.skip(10_000_000)  # 7
    world.trade(10_000_000, number=8)
    world.history = without(7)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {0: Proof.IDS, 1: Proof.IDS}
    world.live(late)
    world.live(late)
    assert ids(world) == ["6", "8", "7"]
    assert world.about(FeedEventKind.TAKEN_BACK) == [("7", "7")]


def test_what_was_called_absent_together_with_an_id_that_comes_is_asked_for_again() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    _, late, _ = (world.skip(1_000_000) for _ in range(3))  # 7, 8, 9
    world.trade(10_000_000)
    world.history = without(7, 8, 9)
    world.ask_all()
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {0: Proof.IDS, 1: Proof.IDS}
    world.history = list
    world.live(late)
    world.ask_all()
    assert ids(world) == ["6", "10", "8", "7", "9"]
    world.tick(MINUTE_US)
    assert world.proofs() == dict.fromkeys(range(3), Proof.IDS)


def test_an_id_that_comes_when_its_minute_is_final_is_told_as_a_hole() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000, number=6)
    late = world.skip(10_000_000)
    world.trade(10_000_000, number=8)
    world.history = without(7)
    world.ask_all()
    world.tick(20 * MINUTE_US)
    world.live(late)
    assert ids(world) == ["6", "8", "7"]
    assert world.about(FeedEventKind.HOLE) == [("7", "7")]


def test_an_id_that_was_given_up_is_published_when_it_comes() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000, number=6)
    late = world.skip(10_000_000)
    world.trade(10_000_000, number=8)
    world.history = lambda _: []
    world.ask_all()
    world.now_s += TIMEOUT_S
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.IDS}
    world.live(late)
    assert ids(world) == ["6", "8", "7"]


def test_minutes_that_were_marked_before_their_trades_were_found_missing_are_taken_back() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.skip(70_000_000)  # 7, in minute 1: the stream lacks it
    world.tick(101_000_000)  # so that minutes 0, 1 and 2 are marked
    assert world.proofs() == dict.fromkeys(range(3), Proof.IDS)
    world.history = without(7)
    world.trade(1_000_000)  # 8 shows that 7 is missing
    world.history = lambda _: []
    world.ask_all()
    assert world.proofs() == dict.fromkeys(range(3), Proof.IDS)
    world.now_s += TIMEOUT_S
    world.tick(MINUTE_US)
    assert world.about(FeedEventKind.HOLE) == [("7", "7")]
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE, 2: Proof.HOLE, 3: Proof.HOLE}
    taken_back = [marker for marker in world.markers if marker.takes_back]
    assert [marker.complete_until_us for marker in taken_back] == [START_US + n * MINUTE_US for n in (1, 2, 3)]
    assert FeedEventKind.TAKEN_BACK in world.events


def test_what_a_predecessor_said_is_taken_back_by_whoever_gives_up_the_missing_ids() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    world.skip(1_000_000)  # 7: the stream lacks it
    world.tick(3 * MINUTE_US)
    assert set(world.proofs().values()) == {Proof.IDS}
    world.history = without(7)
    world.trade(1_000_000)  # 8 shows that 7 is missing
    world.crash()
    world.connect()
    world.trade(1_000_000)
    world.history = from_id(8)
    world.ask_all()
    world.now_s += TIMEOUT_S
    world.tick(2 * MINUTE_US)
    assert world.about(FeedEventKind.HOLE) == [("7", "7")]
    assert {minute for minute, proof in world.proofs().items() if proof is Proof.HOLE} >= {0, 1, 2, 3}
    world.check_claims(set())


def test_what_is_final_is_not_taken_back_but_told() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.skip(10_000_000)
    world.tick(30 * MINUTE_US)
    world.trade(1_000_000)
    world.history = lambda _: []
    world.ask_all()
    world.now_s += TIMEOUT_S
    world.tick(0)
    [hole] = [event for event in world.told if event.event is FeedEventKind.HOLE]
    assert (hole.first_id, hole.from_us) == ("7", START_US + 10_000_000)
    taken_back = [marker.complete_until_us for marker in world.markers if marker.takes_back]
    assert taken_back == [START_US + n * MINUTE_US for n in range(21, 31)]


def test_trades_that_are_found_when_their_minute_is_final_are_told_as_a_hole() -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.skip(10_000_000)  # 7 and 8: the stream lacks them, and nothing behind them comes for long
    world.skip(10_000_000)
    world.tick(12 * MINUTE_US)
    world.skip(1_000_000)  # 9: its minute can still be corrected
    world.trade(1_000_000)
    world.ask_all()
    assert set(ids(world)) == {"6", "7", "8", "9", "10"}
    [hole] = [event for event in world.told if event.event is FeedEventKind.HOLE]
    assert (hole.first_id, hole.last_id) == ("7", "8")
    assert (hole.from_us, hole.until_us) == (START_US + 20_000_000, START_US + 30_000_000)


def test_one_row_that_is_no_trade_does_not_hold_up_the_others() -> None:
    world = after_an_outage(until=9)
    world.told_as = broken(7)
    world.ask()
    assert ids(world) == ["6"]
    world.ask_all()
    assert ids(world) == ["6", "8"]
    assert len(world.dead) == 1, "told once"
    world.tick(MINUTE_US + 1_000_000)
    assert world.about(FeedEventKind.HOLE) == [("7", "7")]
    # 7 is at 40 s, between 6 at 20 s and 8 at 60 s
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE}


def test_a_row_that_is_a_trade_the_next_time_is_no_hole() -> None:
    world = after_an_outage(until=9)
    world.told_as = broken(7)
    for _ in range(REFUSALS - 2):
        world.ask()
    world.told_as = list
    world.ask_all()
    world.tick(MINUTE_US)
    assert sorted(ids(world)) == ["6", "7", "8"]
    assert set(world.proofs().values()) == {Proof.IDS}


def test_a_live_message_that_is_no_trade_is_missing_until_the_history_gives_it() -> None:
    world = begun()
    world.connect()
    world.skip(10_000_000)
    world.round(lambda outbox: world.feed.refused(RefusedTrade(b"?", "price is 0", "A-B", 6), world.server_us, outbox))
    world.tick(2 * MINUTE_US)
    assert world.proofs() == {}, "it is known that there is a trade"
    world.ask_all()
    assert ids(world) == ["6"]
    assert set(world.proofs().values()) == {Proof.IDS}
    assert [record.number for record in world.dead] == [6]


@pytest.mark.parametrize("number", [None, 10_000])
@pytest.mark.parametrize("is_traded", [False, True])
def test_behind_a_message_whose_id_is_not_known_no_minute_is_complete_before_it_is(
    number: int | None, *, is_traded: bool
) -> None:
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.skip(10_000_000)
    refused = RefusedTrade(b"?", "no trade", "A-B", number)
    world.round(lambda outbox: world.feed.refused(refused, world.carried_us, outbox))
    if is_traded:
        world.trade(10_000_000)
    world.tick(MINUTE_US)
    assert world.markers == []
    world.ask_all()
    assert set(ids(world)) == {"6", "7", *["8"] * is_traded}
    assert world.proofs()[0] is Proof.IDS


def test_a_message_that_is_no_trade_cannot_move_the_ids_far_ahead() -> None:
    world = begun()
    world.connect()
    world.round(lambda outbox: world.feed.refused(RefusedTrade(b"?", "?", "A-B", 10**17), world.server_us, outbox))
    world.trade(1_000_000)
    world.tick(2 * MINUTE_US)
    assert set(world.proofs().values()) == {Proof.IDS}


def after_an_outage_with_what_cannot_be_read(*, readable: bool) -> World:
    """Connected at 10 s, away until 150 s; the first message then cannot be read, and the history has nothing."""
    world = begun()
    world.connect()
    world.trade(10_000_000)
    world.disconnect()
    for _ in range(7, 9):
        world.trade(65_000_000)
    world.skip(10_000_000)  # 9
    stale_us = world.carried_us
    world.connect()
    world.round(lambda outbox: world.feed.refused(RefusedTrade(b"?", "price is 0", "A-B", 9), stale_us, outbox))
    world.history = lambda _: []
    if readable:
        world.trade(60_000_000)  # 10
    world.ask_all()
    assert world.proofs() == {}
    world.now_s += TIMEOUT_S
    world.tick(MINUTE_US)
    return world


def test_a_gap_ends_with_a_readable_trade_and_not_with_the_time_of_before_the_outage() -> None:
    world = after_an_outage_with_what_cannot_be_read(readable=True)
    # 7 … 9 lie between 6, at 10 s, and 10, at 210 s
    assert world.proofs() == dict.fromkeys(range(4), Proof.HOLE)
    world.tick(MINUTE_US)
    assert world.proofs()[4] is Proof.IDS


def test_without_a_readable_trade_a_gap_ends_with_a_time_that_was_proved_after_it() -> None:
    world = after_an_outage_with_what_cannot_be_read(readable=False)
    assert world.proofs() == dict.fromkeys(range(3), Proof.HOLE)
    world.tick(2 * MINUTE_US)
    assert world.proofs()[4] is Proof.IDS


def test_a_row_without_anything_behind_it_is_not_given_up_before_a_later_time_is_proved() -> None:
    world = begun()
    world.connect()
    world.skip(MINUTE_US)
    world.carried_us = START_US
    world.up = False  # so that no time is proved
    world.told_as = broken(6)
    for _ in range(REFUSALS + 3):
        world.ask()
    assert FeedEventKind.HOLE not in world.events
    world.up = True
    world.ask()
    world.ask()
    world.tick(MINUTE_US + 1_000_000)
    assert world.about(FeedEventKind.HOLE) == [("6", "6")]
    assert world.proofs() == {0: Proof.HOLE, 1: Proof.HOLE}


def test_a_time_of_before_the_outage_does_not_bound_what_nobody_told_of_it() -> None:
    world = begun()
    world.connect()
    world.disconnect()
    world.skip(3 * MINUTE_US)
    stale_us = world.carried_us
    world.connect()
    world.history = lambda _: []
    world.ask_all()
    world.now_s += TIMEOUT_S
    world.carried_us, world.up = stale_us, False
    world.tick(0)
    assert FeedEventKind.HOLE not in world.events
    world.up = True
    world.tick(MINUTE_US)
    world.tick(MINUTE_US)
    assert {minute for minute, proof in world.proofs().items() if proof is Proof.HOLE} >= set(range(4))


def test_as_long_as_nobody_knows_the_time_trades_flow_and_the_symbol_does_not_begin() -> None:
    world = World()
    world.connect()
    world.is_clock_known = False
    for _ in range(3):
        world.trade(10_000_000)
    assert (ids(world), world.markers) == (["1", "2", "3"], [])
    world.is_clock_known = True
    world.tick(1)
    [begin] = world.markers
    assert (begin.proof, begin.last_trade_id, begin.complete_until_us) == (Proof.BEGIN, "3", START_US + MINUTE_US)


def test_a_symbol_whose_progress_cannot_be_used_begins_anew_and_says_so() -> None:
    world = World()
    world.feed = SymbolFeed(
        MarketKey("x", "A-B"), native="AB", partition=0, unusable="the progress at p/0/7 cannot be used: …"
    )
    world.connect()
    world.trade(1_000_000)
    world.trade(1_000_000)
    [hole] = [event for event in world.told if event.event is FeedEventKind.HOLE]
    assert "p/0/7" in (hole.reason or "")
    assert hole.until_us == world.markers[0].complete_until_us == START_US + MINUTE_US


@pytest.mark.parametrize("jumping", [False, True])
def test_without_history_for_a_while_nothing_is_a_hole_when_it_is_back(*, jumping: bool) -> None:
    world = after_an_outage(until=9)
    if jumping:
        world.trade(1_000_000, number=20)
    world.history = lambda _: []
    for _ in range(10):
        world.ask()
    world.history = list
    world.ask_all()
    world.tick(MINUTE_US)
    assert set(world.proofs().values()) == {Proof.IDS}


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["trade", "trade", "trade", "skip", "jump", "tick", "up", "down", "ask", "ask", "late", "wait", "crash"]
        ),
        st.sampled_from([0, 1_000_000, 20_000_000, 45_000_000, 70_000_000]),
        st.sampled_from(
            ["whole", "whole", "short", "truncated", "lacking", "reversed", "twice", "broken", "empty", "none"]
        ),
        st.integers(0, 5),
    ),
    min_size=20,
    max_size=70,
)


MOODS: dict[str, Callable[[Rows, int], Sequence[Trade | RefusedTrade]]] = {
    "whole": lambda rows, _: rows,
    "short": lambda rows, index: rows[index:],
    "truncated": lambda rows, index: rows[: len(rows) - index],
    "lacking": lambda rows, index: rows[:index] + rows[index + 1 :],
    "reversed": lambda rows, _: rows[::-1],
    "twice": lambda rows, _: [row for row in rows for _ in range(2)],
    "broken": lambda rows, index: [
        RefusedTrade(b"?", "?", "A-B", int(row.trade_id) if index % 2 else None) if index == place else row
        for place, row in enumerate(rows)
    ],
    "empty": lambda rows, _: rows[:0],
    "none": lambda rows, _: rows,
}


class Witness:
    """What the exchange said, by plain counting: which ids are absent, and which it denied to have."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.absent: set[int] = set()
        self.denied: set[int] = set()
        self.unheard: set[int] = set()
        """Of trades that the stream lacked."""
        self._seen = 0
        self._began = 0

    def crash(self) -> None:
        """The next feed does not know what this one published behind its last marker."""
        self._began = len(self.world.log)

    def tells(self, mood: str, at: int) -> None:
        """From now on pages are told in this mood."""
        self.world.told_as = lambda rows: self._told(MOODS[mood](rows, at))

    def _told(self, shown: Sequence[Trade | RefusedTrade]) -> Sequence[Trade | RefusedTrade]:
        numbers = [row.number if isinstance(row, RefusedTrade) else int(row.trade_id) for row in shown]
        for one, other in pairwise(numbers):
            if one is not None and other is not None:
                self.absent.update(range(one + 1, other))
        wanted = self.world.asked
        first_ids = (wanted.known, wanted.known + 1) if wanted is not None and wanted.known is not None else ()
        if numbers and numbers[0] in first_ids:
            numbers = [
                *first_ids[: numbers[0] != first_ids[0]],
                *numbers,
            ]  # what the page may have counted, and left out
        if wanted is not None and numbers and numbers[0] == wanted.known and len(numbers) < wanted.limit:
            last = max(number for number in numbers if number is not None)
            self.denied.update(int(trade.trade_id) for trade in self.world.trades if int(trade.trade_id) > last)
        return shown

    def check(self) -> None:
        """No marker goes out over what is known to be missing, or what nobody denied while nobody listened."""
        records = self.world.log
        published = {int(record.trade_id) for record in records[: self._seen] if isinstance(record, Trade)} | {BEGUN}
        since = [int(record.trade_id) for record in records[self._began :] if isinstance(record, Trade)]
        furthest = max(since, default=BEGUN)
        for record in records[self._seen :]:
            if isinstance(record, Trade):
                published.add(int(record.trade_id))
            elif record.proof is Proof.IDS:
                missing = [
                    number
                    for number, time_us in ((int(trade.trade_id), trade.time_us) for trade in self.world.trades)
                    if START_US <= time_us < record.complete_until_us and number > BEGUN
                    if number not in published | self.absent
                    if number < furthest or number not in self.denied | self.unheard
                ]
                lost = [event for event in self.world.told if event.event is FeedEventKind.HOLE]
                assert all(any(_names(hole, number) for hole in lost) for number in missing), missing
        self._seen = len(records)


def _names(hole: FeedEvent, number: int) -> bool:
    """Whether an event is about this id; one without ids is about all."""
    return hole.first_id is None or int(hole.first_id) <= number <= int(hole.last_id or 0)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_no_minute_is_complete_over_ids_that_were_never_given_nor_shown_to_be_absent(steps: list) -> None:
    play(steps)


def play(steps: list) -> None:  # noqa: C901  # one branch for each kind of step
    """Let it all happen, then everything come to light, and hold what was said against what is so."""
    world = begun()
    witness = Witness(world)
    hidden: list[Trade] = []
    for what, after_us, mood, at in steps:
        if what in ("up", "down"):
            if (what == "up") != world.up:
                world.server_us += 1_000_000
                world.connect() if what == "up" else world.disconnect()
        elif what in ("trade", "jump"):
            world.trade(after_us, number=int(world.trades[-1].trade_id) + 1 + (at if what == "jump" else 0))
        elif what == "skip":
            hidden.append(world.skip(after_us))
            witness.unheard |= {int(hidden[-1].trade_id)} if world.up else set()
        elif what == "tick":
            world.tick(after_us)
        elif what == "late" and hidden and world.up:
            late = hidden.pop(at % len(hidden))
            world.live(late)
            assert late.trade_id in ids(world), "what comes is published, whatever was said of it"
        elif what == "crash":
            world.crash()
            witness.crash()
        elif what == "wait":
            world.now_s += TIMEOUT_S
            world.tick(0)
        elif what == "ask":
            witness.tells(mood, at)
            world.ask(answered=mood != "none")
        witness.check()
    if not world.up:
        world.connect()
    world.trade(1_000_000)  # now everything that was skipped is seen to be missing
    if steps and steps[-1][2] == "empty":  # and for good
        world.history = lambda _: []
        world.ask_all()
        world.now_s += TIMEOUT_S
        world.tick(0)
    witness.tells("whole", 0)
    world.ask_all()
    world.tick(3 * MINUTE_US)
    witness.check()
    world.check_claims(witness.absent)
