"""When a process says that another one runs under its instance id."""

import structlog

from runtime.membership import REPEATS, WITHIN_S, MembershipWatch, note_assigned
from runtime.telemetry import Meter

HALF: frozenset[object] = frozenset({0, 1})
ALL: frozenset[object] = frozenset({0, 1, 2, 3})


def test_the_same_partitions_again_and_again_within_short_are_contested() -> None:
    watch = MembershipWatch()
    assert [watch.is_contested(HALF, 2.0 * turn) for turn in range(REPEATS)] == [False] * (REPEATS - 1) + [True]
    assert not watch.is_contested(HALF, 2.0 * REPEATS), "it is told once for so many"


def test_members_that_come_and_go_change_the_partitions_and_nothing_is_contested() -> None:
    watch = MembershipWatch()
    assert not any(watch.is_contested((ALL, HALF)[turn % 2], 2.0 * turn) for turn in range(50))


def test_rebalances_now_and_then_are_usual() -> None:
    watch = MembershipWatch()
    assert not any(watch.is_contested(ALL, WITHIN_S * turn) for turn in range(50))


def test_the_warning_names_the_id_and_the_way_out_and_rebalances_are_counted() -> None:
    meter = Meter("test.membership")
    with structlog.testing.capture_logs() as told:
        for _ in range(REPEATS):
            note_assigned(meter, {0}, None)
        assert told == [], "without an id of its own a member takes none from another"
        for _ in range(REPEATS):
            note_assigned(meter, {0}, "candles-0")
    assert meter.fields["rebalances"] == 2 * REPEATS
    assert [entry["log_level"] for entry in told] == ["warning"]
    assert "--instance-id candles-0" in told[0]["reason"]
    assert "give each process an id of its own" in told[0]["reason"]
