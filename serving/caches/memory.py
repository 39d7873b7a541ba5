"""Answers in the memory of this process."""

from collections import OrderedDict
from typing import NamedTuple

from serving.kept import KeptAnswer

MOST_ANSWERS = 5_000
MOST_BYTES = 64 * 1024 * 1024


class OwnCopy(NamedTuple):
    """An answer, and what is known of it here."""

    answer: KeptAnswer
    position: str
    """Up to which records it goes."""
    made_ms: str
    """When it was asked for, by Redis' clock."""
    looked_s: float
    """When Redis last said that it counts, by the monotonic clock."""


class AnswerMemory:
    """By the question's name; what was asked for longest ago is let go."""

    def __init__(self, *, most_answers: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES) -> None:
        self._most_answers = most_answers
        self._most_bytes = most_bytes
        self._copies: OrderedDict[str, OwnCopy] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._copies)

    def get(self, name: str) -> OwnCopy | None:
        """What there is."""
        copy = self._copies.get(name)
        if copy is not None:
            self._copies.move_to_end(name)
        return copy

    def put(self, name: str, copy: OwnCopy) -> None:
        """Keep it, in place of what was kept."""
        self.drop(name)
        self._copies[name] = copy
        self.size_bytes += copy.answer.size_bytes
        while len(self._copies) > self._most_answers or self.size_bytes > self._most_bytes:
            self.drop(next(iter(self._copies)))

    def drop(self, name: str) -> None:
        """Forget it."""
        if (copy := self._copies.pop(name, None)) is not None:
            self.size_bytes -= copy.answer.size_bytes
