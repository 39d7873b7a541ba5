"""Where a new owner goes on from, and when it must not start by itself."""

import pytest

from processors.engine.start import EngineStart, EngineStartError, EngineStartFacts, decide_start


def found(**facts: object) -> EngineStartFacts:
    known: dict[str, object] = {
        "name": "md.trades.v1/3",
        "state_position": 60,
        "committed_position": 70,
        "group_offset": 70,
        "beginning": 0,
        "end": 100,
        "has_output": True,
    }
    return EngineStartFacts(**(known | facts))  # type: ignore[arg-type]


def decide(
    facts: EngineStartFacts, *, from_start: bool = False, accept_truncation: bool = False, revision_base: int = 0
) -> EngineStart:
    return decide_start(facts, from_start=from_start, accept_truncation=accept_truncation, revision_base=revision_base)


def test_goes_on_with_the_state_where_the_group_stands_at_its_last_commit() -> None:
    assert decide(found()) == EngineStart(position=70, keep_state=True, mid_log=False)


def test_a_moved_group_drops_the_state_and_begins_in_mid_log() -> None:
    assert decide(found(group_offset=50)) == EngineStart(position=50, keep_state=False, mid_log=True)
    assert decide(found(group_offset=0)) == EngineStart(position=0, keep_state=False, mid_log=False)


def test_without_an_offset_it_starts_only_over_an_empty_output() -> None:
    assert decide(found(group_offset=None, has_output=False)) == EngineStart(
        position=0, keep_state=False, mid_log=False
    )
    with pytest.raises(EngineStartError, match="--from-start"):
        decide(found(group_offset=None))
    assert decide(found(group_offset=None), from_start=True).position == 0


def test_a_log_whose_beginning_is_gone_is_read_as_from_mid_log() -> None:
    facts = found(group_offset=None, has_output=False, beginning=40)
    assert decide(facts) == EngineStart(position=40, keep_state=False, mid_log=True)


def test_an_offset_that_is_no_longer_in_the_log_stops_it_unless_the_truncation_is_accepted() -> None:
    facts = found(beginning=80)
    with pytest.raises(EngineStartError, match=r"10 records were deleted.*--accept-truncation"):
        decide(facts)
    assert decide(facts, accept_truncation=True) == EngineStart(position=80, keep_state=False, mid_log=True)


def test_a_state_that_can_no_longer_be_brought_up_to_the_last_commit_counts_as_truncated() -> None:
    facts = found(beginning=65)
    with pytest.raises(
        EngineStartError, match=r"the state stands at offset 60, which is no longer.*--accept-truncation"
    ):
        decide(facts)
    assert decide(facts, accept_truncation=True) == EngineStart(position=70, keep_state=False, mid_log=True)


def test_an_offset_beyond_the_end_says_that_the_topic_was_made_anew() -> None:
    with pytest.raises(EngineStartError, match="--revision-base"):
        decide(found(end=10))


ANEW = {"topic_id": "b", "state_topic_id": "a"}


@pytest.mark.parametrize("offset", [None, 0, 70, 100])
def test_another_topic_of_the_same_name_stops_it_until_revisions_rise_on(offset: int | None) -> None:
    facts = found(**ANEW, group_offset=offset, state_base=1000)
    with pytest.raises(EngineStartError, match=r"made anew since 70 .*--revision-base 1070 or more"):
        decide(facts, from_start=True, accept_truncation=True, revision_base=1069)
    start = decide(facts, revision_base=1070)
    assert start == EngineStart(position=offset or 0, keep_state=False, mid_log=bool(offset))


def test_a_log_that_ends_before_what_was_read_is_another_one() -> None:
    facts = found(end=69, group_offset=None)
    with pytest.raises(EngineStartError, match=r"--revision-base 70 or more"):
        decide(facts, from_start=True)
    assert decide(facts, revision_base=70) == EngineStart(position=0, keep_state=False, mid_log=False)


@pytest.mark.parametrize("ids", [("a", "a"), ("a", None), (None, "a"), (None, None)])
def test_where_the_id_is_the_same_or_not_told_the_state_is_kept(ids: tuple[str | None, str | None]) -> None:
    assert decide(found(topic_id=ids[0], state_topic_id=ids[1])).keep_state


def test_the_revision_base_that_was_published_with_stays() -> None:
    with pytest.raises(EngineStartError, match="published with --revision-base 500"):
        decide(found(state_base=500), revision_base=499)
    assert decide(found(state_base=500), revision_base=500).keep_state
