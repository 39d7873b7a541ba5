"""Where a new owner goes on from, and when it must not start by itself."""

import pytest

from processors.candles.start import Found, Start, StartError, decide_start


def found(**facts: object) -> Found:
    known: dict[str, object] = {
        "name": "md.trades.v1/3",
        "state_position": 60,
        "committed_position": 70,
        "group_offset": 70,
        "beginning": 0,
        "end": 100,
        "has_output": True,
    }
    return Found(**(known | facts))  # type: ignore[arg-type]


def decide(facts: Found, *, from_start: bool = False, accept_cut: bool = False) -> Start:
    return decide_start(facts, from_start=from_start, accept_cut=accept_cut)


def test_goes_on_with_the_state_where_the_group_stands_at_its_last_commit() -> None:
    assert decide(found()) == Start(position=70, keep_state=True, mid_log=False)


def test_a_moved_group_drops_the_state_and_begins_in_mid_log() -> None:
    assert decide(found(group_offset=50)) == Start(position=50, keep_state=False, mid_log=True)
    assert decide(found(group_offset=0)) == Start(position=0, keep_state=False, mid_log=False)


def test_without_an_offset_it_starts_only_over_an_empty_output() -> None:
    assert decide(found(group_offset=None, has_output=False)) == Start(position=0, keep_state=False, mid_log=False)
    with pytest.raises(StartError, match="--from-start"):
        decide(found(group_offset=None))
    assert decide(found(group_offset=None), from_start=True).position == 0


def test_a_log_whose_beginning_is_gone_is_read_as_from_mid_log() -> None:
    facts = found(group_offset=None, has_output=False, beginning=40)
    assert decide(facts) == Start(position=40, keep_state=False, mid_log=True)


def test_an_offset_that_is_no_longer_in_the_log_stops_it_unless_the_cut_is_accepted() -> None:
    facts = found(beginning=80)
    with pytest.raises(StartError, match=r"10 records were deleted.*--accept-cut"):
        decide(facts)
    assert decide(facts, accept_cut=True) == Start(position=80, keep_state=False, mid_log=True)


def test_a_state_that_can_no_longer_be_brought_up_to_the_last_commit_counts_as_cut_off() -> None:
    facts = found(beginning=65)
    with pytest.raises(StartError, match=r"the state stands at offset 60, which is no longer.*--accept-cut"):
        decide(facts)
    assert decide(facts, accept_cut=True) == Start(position=70, keep_state=False, mid_log=True)


def test_an_offset_beyond_the_end_says_that_the_topic_was_made_anew() -> None:
    with pytest.raises(StartError, match="--revision-base"):
        decide(found(end=10))
