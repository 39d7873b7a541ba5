import pytest

from sinks.start import Found, StartError, start_by_group, start_by_store


def found(committed: int | None, *, beginning: int = 10, end: int = 50) -> Found:
    return Found(group="candlewick.sink.parquet", name="t/0", committed=committed, beginning=beginning, end=end)


def test_a_group_goes_on_from_its_offset_and_begins_at_the_log_s_beginning() -> None:
    assert start_by_group(found(30), accept_cut=False) == 30
    assert start_by_group(found(50), accept_cut=False) == 50
    assert start_by_group(found(None), accept_cut=False) == 10


def test_a_cut_log_is_said_before_it_is_accepted() -> None:
    with pytest.raises(StartError, match=r"7 records were deleted .* --accept-cut"):
        start_by_group(found(3), accept_cut=False)
    assert start_by_group(found(3), accept_cut=True) == 10


def test_an_offset_beyond_the_end_is_never_accepted() -> None:
    with pytest.raises(StartError, match="made anew"):
        start_by_group(found(51), accept_cut=True)


@pytest.mark.parametrize(
    ("committed", "stored", "start"),
    [
        (30, 30, 30),
        (30, 20, 20),  # the store lost writes
        (20, 30, 20),  # the group was moved back
        (None, 30, 30),
        (30, None, 25),  # an empty store
        (30, 51, 25),  # a store of another log
        (30, 3, 10),
        (3, 3, 10),
    ],
)
def test_a_store_with_positions_goes_on_from_the_earlier(committed: int | None, stored: int | None, start: int) -> None:
    assert start_by_store(found(committed), stored=stored, recent=25) == start
