"""How many answers the process keeps."""

from serving.caches.memory import AnswerMemory, OwnCopy
from serving.kept import tagged


def copy(size: int) -> OwnCopy:
    return OwnCopy(tagged(b"x" * size), "7", "1", 0.0)


def test_it_holds_no_more_bytes_and_answers_than_it_may_and_lets_go_what_was_asked_for_longest_ago() -> None:
    memory = AnswerMemory(most_answers=3, most_bytes=100)
    for name in "abc":
        memory.put(name, copy(30))
    assert memory.get("a") is not None
    memory.put("d", copy(30))
    assert (memory.get("b"), len(memory), memory.size_bytes) == (None, 3, 90)
    memory.put("e", copy(60))
    assert {name for name in "abcde" if memory.get(name)} == {"d", "e"}
    assert memory.size_bytes == 90


def test_what_replaces_an_answer_counts_once_and_one_that_is_too_large_leaves_nothing() -> None:
    memory = AnswerMemory(most_bytes=100)
    memory.put("a", copy(60))
    memory.put("a", copy(70))
    assert (len(memory), memory.size_bytes) == (1, 70)
    memory.put("a", copy(101))
    assert (memory.get("a"), len(memory), memory.size_bytes) == (None, 0, 0)
