"""The exchange's clock as evidence: what it says is believed as far as it can be."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.feed.market_clock import AHEAD_US, ClockChange, MarketClock, ProvenTime

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
YEAR_US = 365 * 24 * HOUR_US
WALL_US = 1_800_000_000 * SECOND_US
STEP_S = 0.05

Wrong = Callable[[int], int]


class World:
    """A market that runs at `speed` until it meets the wall clock, heard over one connection in rounds."""

    def __init__(self, speed: float, *, before_us: int | None = None, quiet: bool = False) -> None:
        self.speed, self.quiet = speed, quiet
        self.start_us = WALL_US - (int(speed * 3_600 * SECOND_US) if before_us is None else before_us)
        self.s = 1_000.0
        self.market = MarketClock()
        self.time = ProvenTime(self.market)
        self.turns: list[ClockChange] = []
        self.refused = 0

    @property
    def wall_us(self) -> int:
        return WALL_US + int((self.s - 1_000) * SECOND_US)

    @property
    def true_us(self) -> int:
        return min(self.wall_us, self.start_us + int((self.s - 1_000) * SECOND_US * self.speed))

    def run(self, seconds: float, clock: Wrong = int, trade: Wrong = int) -> None:
        """A kline each second of the market, and trades unless quiet; `clock` and `trade` falsify their times."""
        for _ in range(round(seconds / STEP_S)):
            self.s += STEP_S
            before_us = self.true_us - int(STEP_S * self.speed * SECOND_US)
            self.market.tick(self.s, self.wall_us)
            if before_us // SECOND_US != self.true_us // SECOND_US:
                self.time.hear(clock(self.true_us))
            if not self.quiet:
                self.refused += not self.time.hear(clock(self.true_us), trade(self.true_us - 1_000))
            if (turn := self.time.change(self.s)) is not None:
                self.turns.append(turn)
            self.check()

    def message(self, clock: Wrong, trade: Wrong | None = None) -> bool:
        """One more message; returns whether its trade is taken."""
        taken = self.time.hear(clock(self.true_us), 0 if trade is None else trade(self.true_us))
        self.check()
        return taken

    def check(self) -> None:
        assert self.time.us <= self.true_us, "a time that has not passed is believed"

    @property
    def behind_s(self) -> float:
        """How far what is believed lags, in seconds of our own time."""
        return (self.true_us - self.time.us) / SECOND_US / self.speed


speeds = pytest.mark.parametrize("speed", [1.0, 10.0, 60.0])
distances = pytest.mark.parametrize("off_us", [90 * SECOND_US, HOUR_US, YEAR_US, -HOUR_US, -YEAR_US])


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("speed", [1.0, 10.0, 60.0, 240.0, 1_000.0])
def test_a_clock_that_is_right_is_believed_at_once(speed: float, *, quiet: bool) -> None:
    world = World(speed, quiet=quiet)
    world.run(5)
    for _ in range(100):
        world.run(0.5)
        assert world.behind_s <= (1.1 if quiet else STEP_S), "a quiet connection says its time once a second"
    assert (world.time.ignored, world.refused, world.turns) == (0, 0, [])


def test_a_market_that_meets_our_clock_goes_on_at_its_pace() -> None:
    world = World(60.0, before_us=600 * SECOND_US)
    world.run(60)
    assert world.true_us == world.wall_us
    assert (world.time.ignored, world.refused, world.turns) == (0, 0, [])
    assert world.time.us > world.true_us - 2 * SECOND_US


@speeds
@distances
@pytest.mark.parametrize("quiet", [False, True])
def test_one_message_of_another_time_is_ignored_and_counted(speed: float, off_us: int, *, quiet: bool) -> None:
    world = World(speed, quiet=quiet)
    world.run(10)
    for number in range(1, 4):
        world.message(lambda us: us + off_us)
        assert world.time.ignored == number
        world.run(3)
    assert (world.refused, world.turns) == (0, [])
    assert world.behind_s <= 1.1


def test_one_message_ahead_is_ignored_even_where_the_market_is_too_fast_to_tell() -> None:
    world = World(1_000.0)
    world.run(10)
    for _ in range(10):
        world.message(lambda us: us + 90 * SECOND_US)
        world.run(1)
    assert world.behind_s <= STEP_S


@speeds
@distances
@pytest.mark.parametrize("quiet", [False, True])
def test_a_clock_that_stays_away_is_told_and_comes_back(speed: float, off_us: int, *, quiet: bool) -> None:
    world = World(speed, quiet=quiet)
    world.run(10)
    before_us = world.time.us
    world.run(30, clock=lambda us: us + off_us)
    assert world.turns == [ClockChange.AWAY]
    assert world.time.us == before_us, "markers wait"
    assert world.refused == 0, "the trades' own times go on as they should"
    world.run(5)
    assert world.turns == [ClockChange.AWAY, ClockChange.BACK]
    assert world.behind_s <= 1.1
    assert world.refused == 0


def test_a_clock_that_is_away_is_still_so_on_the_next_connection() -> None:
    world = World(60.0, quiet=True)
    world.run(10)
    world.run(30, clock=lambda us: us + HOUR_US)
    assert world.time.is_away, "which is why the session does not forget the pace"
    world.run(300, clock=lambda us: us + HOUR_US)
    world.run(5)
    assert world.turns == [ClockChange.AWAY, ClockChange.BACK]


def test_an_exchange_that_sets_its_clock_right_is_believed_when_its_trades_say_the_same() -> None:
    world = World(1.0, before_us=9 * SECOND_US)
    world.run(30)
    world.start_us += 9 * SECOND_US  # nine seconds behind until now
    world.run(1)
    assert world.turns == []
    assert world.behind_s <= STEP_S


def test_an_exchange_without_trades_that_sets_its_clock_right_is_believed_after_a_minute() -> None:
    world = World(1.0, before_us=9 * SECOND_US, quiet=True)
    world.run(30)
    world.start_us += 9 * SECOND_US  # nine seconds behind until now
    world.run(50)
    assert world.turns == [ClockChange.AWAY]
    world.run(20)
    assert world.turns == [ClockChange.AWAY, ClockChange.BACK]
    assert world.behind_s <= 1.1


def test_the_market_is_never_ahead_of_our_own_clock_by_more_than_the_tolerance() -> None:
    clock = MarketClock()
    clock.tick(1.0, WALL_US)
    assert clock.limit_us == WALL_US + AHEAD_US
    assert clock.allows(WALL_US + AHEAD_US)
    assert clock.allows(WALL_US + AHEAD_US + 1) is False


@speeds
@pytest.mark.parametrize("off_us", [90 * SECOND_US, HOUR_US, YEAR_US])
def test_a_trade_of_a_time_that_cannot_be_is_refused_and_the_clock_beside_it_counts(speed: float, off_us: int) -> None:
    world = World(speed)
    world.run(10)
    assert not world.message(int, lambda us: us + off_us)
    world.run(1)
    assert world.behind_s <= STEP_S


@speeds
@pytest.mark.parametrize("off_us", [20 * SECOND_US, 95 * SECOND_US, HOUR_US])
def test_one_message_of_two_equal_times_ahead_moves_nothing(speed: float, off_us: int) -> None:
    world = World(speed)
    world.run(10)
    for _ in range(3):
        before_us = world.time.us
        taken = world.message(lambda us: us + off_us, lambda us: us + off_us)
        assert taken is (off_us < (60 + 3 * speed) * SECOND_US)
        assert world.time.us <= before_us + 2 * SECOND_US
        world.run(1)
        assert world.behind_s <= STEP_S


def test_one_message_far_ahead_is_not_taken_before_the_pace_is_known_either() -> None:
    world = World(120.0)
    world.run(0.5)
    assert not world.message(lambda us: us + HOUR_US, lambda us: us + HOUR_US)
    world.run(3)
    assert world.refused == 0
    assert world.behind_s <= STEP_S


def test_a_market_that_goes_on_far_ahead_is_believed_and_loses_one_message_to_the_history_at_most() -> None:
    world = World(60.0)
    world.run(10)
    world.start_us += HOUR_US
    world.run(1)
    assert world.refused == 1
    assert world.behind_s <= STEP_S
    assert world.turns == []


@pytest.mark.parametrize("speed", [60.0, 240.0])
@pytest.mark.parametrize("outage_s", [0.1, 2.0, 9.0, 30.0])
@pytest.mark.parametrize("after_s", [0.1, 1.0, 20.0])
def test_no_trade_is_refused_because_the_pace_is_not_known(speed: float, outage_s: float, after_s: float) -> None:
    world = World(speed)
    world.run(after_s)
    world.s += outage_s
    world.start_us += 20 * SECOND_US  # and it was delayed more before
    world.time.reconnected()
    world.run(3)
    assert world.refused == 0
    assert world.behind_s <= STEP_S


@pytest.mark.parametrize("off_us", [40 * SECOND_US, 90 * SECOND_US, HOUR_US])
@pytest.mark.parametrize("after_s", [0.1, 1.0, 10.0])
def test_a_clock_that_is_wrong_after_an_outage_is_not_believed_and_the_trades_are_taken(
    off_us: int, after_s: float
) -> None:
    world = World(60.0)
    world.run(after_s)
    for _ in range(10):
        world.s += 3.0
        world.time.reconnected()
        world.run(3, clock=lambda us: us + off_us)
        world.run(1)
        assert world.behind_s <= STEP_S
    assert world.refused == 0


def test_what_the_connection_before_said_once_does_not_count_as_said() -> None:
    world = World(60.0)
    world.run(10)
    world.message(lambda us: us + HOUR_US, lambda us: us + HOUR_US)
    world.time.reconnected()
    world.message(lambda us: us + HOUR_US, lambda us: us + HOUR_US)


@speeds
@pytest.mark.parametrize("off_us", [HOUR_US, YEAR_US])
def test_a_trade_that_is_far_older_than_its_message_is_refused_where_the_clock_goes_on_as_it_should(
    speed: float, off_us: int
) -> None:
    world = World(speed)
    world.run(10)
    assert not world.message(int, lambda us: us - off_us)
    assert world.message(lambda us: us + YEAR_US, lambda us: us - 1_000), "here the clock is wrong"


def test_at_the_start_a_clock_that_agrees_with_ours_is_right_against_an_older_trade() -> None:
    world = World(1.0, before_us=0)
    world.run(STEP_S)
    assert not world.message(int, lambda us: us - HOUR_US)


def test_of_two_times_that_contradict_each_other_the_one_near_what_was_said_before_is_right() -> None:
    world = World(60.0)
    world.run(STEP_S)
    assert not world.message(int, lambda us: us + HOUR_US)
    assert world.message(lambda us: us - HOUR_US, int)
    assert world.message(lambda us: us + HOUR_US, int)
    world.run(3)
    assert world.behind_s <= STEP_S


@pytest.mark.parametrize("off_us", [90 * SECOND_US, HOUR_US, -HOUR_US, -YEAR_US])
def test_a_clock_that_is_wrong_from_the_first_message_on_proves_nothing_and_the_trades_are_taken(off_us: int) -> None:
    world = World(60.0)
    world.run(20, clock=lambda us: us + off_us)
    assert (world.refused, world.time.us) == (0, 0)
    world.run(5)
    assert world.refused == 0
    assert world.behind_s <= 1.1


@pytest.mark.parametrize("off_us", [HOUR_US, YEAR_US, -HOUR_US, -YEAR_US])
def test_a_clock_that_is_wrong_from_the_start_leaves_the_trades_times_to_go_by(off_us: int) -> None:
    world = World(60.0)
    world.run(STEP_S)
    world.run(5, clock=lambda us: us + off_us)
    before = world.refused
    world.run(20, clock=lambda us: us + off_us)
    assert world.refused == before
    world.run(5)
    assert world.behind_s <= 1.1


def test_old_messages_that_arrive_late_together_are_taken() -> None:
    world = World(60.0)
    world.run(10)
    assert world.message(lambda us: us - 30 * SECOND_US, lambda us: us - 30 * SECOND_US)
    assert world.time.ignored == 0


@pytest.mark.parametrize("speed", [1.0, 60.0, 1_000.0])
def test_a_backlog_that_is_worked_off_is_no_jump(speed: float) -> None:
    world = World(speed)
    world.run(10)
    backlog = [world.true_us + int(at * STEP_S * speed * SECOND_US) for at in range(200)]
    world.s += 200 * STEP_S  # nothing was read for ten seconds
    world.market.tick(world.s, world.wall_us)
    for us in backlog:
        world.time.hear(us, us)
    world.run(5)
    assert (world.time.ignored, world.refused) == (0, 0)
    assert world.behind_s <= STEP_S


def test_after_a_long_silence_the_pace_is_learned_anew() -> None:
    world = World(60.0)
    world.run(10)
    world.s += 3_000.0
    world.start_us += 90 * SECOND_US  # in so long even a small error of the pace is as much
    world.run(3)
    assert world.time.ignored == 0
    assert world.behind_s <= STEP_S


delays = st.lists(st.tuples(st.sampled_from([0.05, 0.2, 1.0, 3.0]), st.integers(-3, 12)), min_size=10, max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1.0, 60.0, 240.0]), delays, st.integers(90, 10**9))
def test_whatever_jumps_no_time_is_believed_before_it_passed(
    speed: float, steps: list[tuple[float, int]], off_s: int
) -> None:
    """Single messages ahead, at any moment, between messages of any delay."""
    world = World(speed)
    for seconds, kind in steps:
        world.run(seconds)
        if kind < 0:
            world.message(lambda us: us + off_s * SECOND_US)
        else:
            world.message(lambda us, late=kind: us - late * SECOND_US)
    world.run(3)
    assert world.behind_s <= STEP_S
