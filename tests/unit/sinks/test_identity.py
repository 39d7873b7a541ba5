import pytest

from sinks.identity import Identities

BEFORE = Identities({"a": "1", "b": "2", "c": None}, {"a": "x", "b": None})


def test_only_what_had_no_id_is_learnt() -> None:
    learnt = BEFORE.with_learnt(Identities({"a": "9", "b": "2"}, {"a": "z", "b": "y"}))
    assert learnt == Identities(BEFORE.topics, {"a": "x", "b": "y"})


@pytest.mark.parametrize(
    ("topics", "stores", "replaced"),
    [
        ({"a": "1", "b": "2", "c": None}, {"a": "x", "b": None}, []),
        ({"a": "9", "b": "2", "c": None}, {"a": "x", "b": None}, ["a"]),
        ({"a": "1", "b": "2", "c": "3"}, {"a": "x", "b": "y"}, []),  # learnt since
        ({"a": "1", "b": "2", "c": None}, {"a": None, "b": None}, ["a"]),  # emptied
        ({"a": "1", "b": "2", "c": None}, {"a": "z", "b": None}, ["a"]),
        ({"a": "1"}, {"a": "x"}, []),  # missing now: nothing can be said yet
    ],
)
def test_what_was_made_anew_is_seen_and_what_is_learnt_is_not(
    topics: dict[str, str | None], stores: dict[str, str | None], replaced: list[str]
) -> None:
    assert BEFORE.replaced(Identities(topics, stores)) == replaced
