"""When a reader counts as stuck."""

from runtime.stall import StallWatch


def test_only_a_reader_that_stands_still_over_unread_records_is_stuck() -> None:
    watch = StallWatch(45)
    assert watch.stalled_s("a", 10, 5, 0.0) is None
    assert watch.stalled_s("a", 10, 9, 44.9) is None
    assert watch.stalled_s("a", 10, 9, 45.0) == 45.0
    assert watch.stalled_s("a", 11, 8, 46.0) is None  # it moved
    assert watch.stalled_s("a", 11, 8, 90.9) is None
    assert watch.stalled_s("a", 11, 8, 91.0) == 45.0


def test_an_idle_reader_is_never_stuck_and_its_clock_begins_with_the_first_unread_record() -> None:
    watch = StallWatch(45)
    assert watch.stalled_s("a", 10, 0, 0.0) is None
    assert watch.stalled_s("a", 10, 0, 1000.0) is None
    assert watch.stalled_s("a", 10, 1, 1044.0) is None
    assert watch.stalled_s("a", 10, 1, 1045.0) == 45.0


def test_readers_are_apart_and_a_new_beginning_forgets_them() -> None:
    watch = StallWatch(45)
    watch.stalled_s("a", 10, 5, 0.0)
    assert watch.stalled_s("b", 10, 5, 50.0) is None
    assert watch.stalled_s("a", 10, 5, 50.0) == 50.0
    watch.clear()
    assert watch.stalled_s("a", 10, 5, 60.0) is None
