import pytest

from runtime.kafka import Committed, OffsetMetadata
from sinks.start import SinkStartError, SinkStartFacts, start_by_group, start_by_store

NOW = OffsetMetadata("topic-1", "store-1")


def found(
    committed: int | None,
    *,
    beginning: int = 10,
    end: int = 50,
    was: OffsetMetadata = NOW,
    now: OffsetMetadata = NOW,
) -> SinkStartFacts:
    offset = None if committed is None else Committed(committed, was)
    return SinkStartFacts(
        group="candlewick.sink.x", name="t/0", committed=offset, beginning=beginning, end=end, now=now
    )


def test_a_group_goes_on_from_its_offset_and_begins_at_the_log_s_beginning() -> None:
    assert start_by_group(found(30), accept_truncation=False) == 30
    assert start_by_group(found(50), accept_truncation=False) == 50
    assert start_by_group(found(None), accept_truncation=False) == 10


def test_a_cut_log_is_said_before_it_is_accepted() -> None:
    with pytest.raises(SinkStartError, match=r"7 records were deleted .* --accept-truncation"):
        start_by_group(found(3), accept_truncation=False)
    assert start_by_group(found(3), accept_truncation=True) == 10


def test_an_offset_beyond_the_end_is_never_accepted() -> None:
    with pytest.raises(SinkStartError, match="made anew"):
        start_by_group(found(51), accept_truncation=True)


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


ANEW = OffsetMetadata("topic-2", "store-1")


def test_an_offset_of_a_topic_that_was_made_anew_stops_the_sink_and_says_the_way_on() -> None:
    with pytest.raises(SinkStartError, match=r"topic-1.* made anew .*topic-2.*: candlewick replay .* --to ear"):
        start_by_group(found(30, now=ANEW), accept_truncation=True)


@pytest.mark.parametrize("store_id", [None, "store-2"])
def test_an_offset_that_claims_more_than_the_store_holds_stops_the_sink(store_id: str | None) -> None:
    with pytest.raises(SinkStartError, match=r"before offset 30 .*store-1.*--to earliest --execute.*--to current"):
        start_by_group(found(30, now=OffsetMetadata("topic-1", store_id)), accept_truncation=True)


@pytest.mark.parametrize(
    "was",
    [
        OffsetMetadata(),  # of an earlier version, or set by another tool
        OffsetMetadata("topic-1"),  # moved by candlewick replay
        OffsetMetadata(None, "store-1"),  # by brokers that know no ids
    ],
)
def test_what_an_offset_does_not_say_is_taken_as_it_is(was: OffsetMetadata) -> None:
    assert start_by_group(found(30, was=was), accept_truncation=False) == 30


def test_a_store_with_positions_does_not_follow_an_offset_of_another_topic() -> None:
    assert start_by_store(found(20, now=ANEW), stored=30, recent=25) == 30
