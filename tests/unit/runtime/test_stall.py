"""When a reader counts as stuck."""

from runtime.stall import StallWatch, Stand


def test_only_a_reader_that_stands_still_over_unread_records_is_stuck() -> None:
    watch = StallWatch(40)
    assert watch.look("a", 10, 5, 0.0) is Stand.FINE
    assert watch.look("a", 10, 9, 19.9) is Stand.FINE
    assert watch.look("a", 10, 9, 20.0) is Stand.DOUBTFUL
    assert watch.look("a", 10, 9, 39.9) is Stand.DOUBTFUL
    assert watch.look("a", 10, 9, 40.0) is Stand.STUCK
    assert watch.look("a", 11, 8, 41.0) is Stand.FINE  # it moved
    assert watch.look("a", 11, 8, 80.9) is Stand.DOUBTFUL
    assert watch.look("a", 11, 8, 81.0) is Stand.STUCK


def test_an_idle_reader_is_never_stuck_and_its_clock_begins_with_the_first_unread_record() -> None:
    watch = StallWatch(40)
    assert watch.look("a", 10, 0, 0.0) is Stand.FINE
    assert watch.look("a", 10, 0, 1000.0) is Stand.FINE
    assert watch.look("a", 10, 1, 1019.0) is Stand.FINE
    assert watch.look("a", 10, 1, 1040.0) is Stand.STUCK


def test_readers_are_apart_and_a_new_beginning_forgets_them() -> None:
    watch = StallWatch(40)
    watch.look("a", 10, 5, 0.0)
    assert watch.look("b", 10, 5, 50.0) is Stand.FINE
    assert watch.look("a", 10, 5, 50.0) is Stand.STUCK
    watch.clear()
    assert watch.look("a", 10, 5, 60.0) is Stand.FINE


def test_a_reader_that_pauses_begins_anew() -> None:
    watch = StallWatch(40)
    for reader in "ab":
        watch.look(reader, 10, 5, 0.0)
    watch.keep("b")
    assert watch.look("a", 10, 5, 50.0) is Stand.FINE
    assert watch.look("b", 10, 5, 50.0) is Stand.STUCK
