"""What a batch changes in the hot store, as `write.lua` takes it; of what replaces each other only the last. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from market.records import BareRecord
from sinks.encoded import Encoded


class WriteKind(StrEnum):
    """What the script does with a write."""

    TRADES = "trades"
    CANDLES = "candles"
    LATEST = "latest"
    NEWEST = "newest"


class Write(NamedTuple):
    """All that one batch changes of one data key."""

    kind: WriteKind
    tag: str
    """The hash tag of its keys."""
    keys: tuple[str, ...]
    ttl_s: int
    kept: int
    skipped: int
    """How many changes are not in it, because newer ones take their place."""
    lists: tuple[bytes, ...]
    """The changes, as lists of the script."""
    items: int
    """How many; of trades without those of runs."""
    of_runs: int = 0
    identity: bytes = b""
    """Of several values of one time: the fields that tell them apart, as a list."""


class HotTopic(Protocol):
    """What the hot store does with the records of one topic."""

    def encode(self, partition: int, records: Sequence[BareRecord]) -> Encoded:
        """A batch of a partition as a list of `Write`; what is refused is as in every store."""


class Change(NamedTuple):
    """What one record changes: a place of a key. A greater or equal rank replaces what is in that place."""

    tag: str
    key: str
    place: int | str
    """A candle's open time; a field of a hash; empty where the key is a string; else it begins with the time."""
    rank: tuple[int, int]
    """Time (of a candle: 0) and revision."""
    value: bytes


def lines(items: Iterable[object]) -> bytes:
    """A list of the script, of the items' texts; none may have a line feed in it."""
    return "\n".join(map(str, items)).encode()


def surviving(changes: Iterable[Change], kept: int) -> Iterator[tuple[list[Change], int]]:
    """For each key the changes that outlive the batch, by place, at most `kept`; and how many do not."""
    by_key: dict[str, dict[int | str, Change]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for change in changes:
        places = by_key[change.key]
        counts[change.key] += 1
        if (held := places.get(change.place)) is None or change.rank >= held.rank:
            places[change.place] = change
    for key, places in by_key.items():
        newest = [places[place] for place in sorted(places)[-kept:]]
        yield newest, counts[key] - len(newest)
