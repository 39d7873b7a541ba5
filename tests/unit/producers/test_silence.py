"""A symbol that is quiet, and a subscription that is dead."""

from itertools import pairwise

from symbol_world import MINUTE_US, begun, ids

from producers.feed.silence import LEAST_S, MOST_S, PATIENCE_S, UNKNOWN_S, UNUSUAL, Silence


def looked_at(silence: Silence, until_s: float, *, step_s: float = 10.0) -> list[float]:
    """When the exchange is asked, if it never has anything."""
    times, now_s = [], 0.0
    while now_s < until_s:
        now_s += step_s
        if silence.is_unusual(now_s):
            times.append(now_s)
            silence.look(now_s, shown=False)
    return times


def test_a_symbol_of_unknown_rate_is_looked_into_ever_more_seldom() -> None:
    silence = Silence()
    silence.begin(0.0)
    times = looked_at(silence, 4 * MOST_S)
    assert times[:3] == [UNKNOWN_S, 3 * UNKNOWN_S, 7 * UNKNOWN_S]
    assert max(later - earlier for earlier, later in pairwise(times)) == MOST_S


def test_a_symbol_is_held_against_its_own_rate() -> None:
    for pause_s, after_s in ((0.01, LEAST_S), (30.0, UNUSUAL * 30.0), (900.0, MOST_S)):
        silence = Silence()
        silence.begin(0.0)
        for count in range(50):
            silence.hear(count * pause_s)
        since_s = 49 * pause_s
        assert not silence.is_unusual(since_s + after_s - 1.0)
        assert silence.is_unusual(since_s + after_s + 1.0)


def test_what_the_stream_brings_after_rest_is_no_dead_subscription() -> None:
    silence = Silence()
    silence.begin(0.0)
    silence.look(100.0, shown=True)
    assert silence.is_suspected
    assert not silence.is_proven(100.0 + PATIENCE_S - 0.1)
    assert silence.is_proven(100.0 + PATIENCE_S)
    silence.hear(105.0)
    assert not silence.is_suspected


def test_a_dead_subscription_is_shown_by_rest_and_told_once() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    for _ in range(3):
        world.skip(1_000_000)
    world.now_s += UNKNOWN_S
    world.tick(10_000_000)
    assert not world.feed.is_caught_up
    assert world.ask()
    assert world.ask(), "the first page was full"
    assert ids(world) == ["6", "7", "8", "9"]
    world.now_s += PATIENCE_S
    world.tick(0)
    world.tick(0)
    assert world.silent == 1


def test_a_quiet_symbol_is_asked_for_and_its_minutes_do_not_wait() -> None:
    world = begun()
    world.connect()
    world.trade(1_000_000)
    world.now_s += UNKNOWN_S
    world.tick(2 * MINUTE_US)
    assert max(world.proofs()) == 1
    assert world.ask()
    world.now_s += PATIENCE_S
    world.tick(0)
    assert world.silent == 0
    assert world.feed.is_caught_up
    assert not world.ask()


def test_trades_that_come_at_once_count_as_many_as_they_are() -> None:
    together, each = Silence(), Silence()
    for silence in (together, each):
        silence.begin(0.0)
    for now_s, trades in ((1.0, 3), (41.0, 1), (90.0, 5), (130.0, 2), (200.0, 1)):
        together.hear(now_s, trades)
        for _ in range(trades):
            each.hear(now_s)
        asked = [looked_at(silence, now_s + MOST_S, step_s=1.0) for silence in (together, each)]
        assert asked[0] == asked[1] != []
