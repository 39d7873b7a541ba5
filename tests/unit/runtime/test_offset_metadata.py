import pytest

from runtime.kafka import OffsetMetadata


@pytest.mark.parametrize(
    "said", [OffsetMetadata(), OffsetMetadata("a"), OffsetMetadata(None, "b"), OffsetMetadata("a", "b")]
)
def test_what_is_said_is_read_again(said: OffsetMetadata) -> None:
    assert OffsetMetadata.decode(said.encode()) == said


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "7", "host-1", '{"topic_id": 7, "store_id": null}', '{"other": "x"}', "\udc00"]
)
def test_what_another_program_wrote_says_nothing(text: str | None) -> None:
    assert OffsetMetadata.decode(text) == OffsetMetadata()


def test_only_two_ids_that_differ_are_another_topic() -> None:
    assert OffsetMetadata("a").is_of_another_topic("b")
    assert not any(OffsetMetadata(was).is_of_another_topic(now) for was, now in [("a", "a"), (None, "b"), ("a", None)])


def test_a_store_that_is_empty_now_is_another_store() -> None:
    assert [OffsetMetadata("t", "a").is_of_another_store(now) for now in ("a", "b", None)] == [False, True, True]
    assert not OffsetMetadata("t").is_of_another_store("b")
