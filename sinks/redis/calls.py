"""Writes as calls of `write.lua`: many in one call, because a call costs more than a trade in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from sinks.redis.keys import WRITTEN_TTL_S, written_key
from sinks.redis.scripts import Call
from sinks.redis.writes import Write, WriteKind

CALL_ITEMS = 1000
"""A call ends with the write that makes it so many changes: nothing else runs in Redis meanwhile."""


class PlacedWrite(NamedTuple):
    """A write, and where it stands in the log."""

    head: str
    """All of the script's head before the counts: partition, topic's id, known offset, next offset, is behind."""
    write: Write


def joined(placed: Iterable[PlacedWrite], *, prefix: str, publish: str, any_keys: bool) -> Iterator[Call]:
    """Calls that make these writes; those of a topic and tag stay in order.

    With `any_keys` a call may have keys of several tags; it never can in a cluster.
    """
    alike: dict[tuple[object, ...], list[PlacedWrite]] = defaultdict(list)
    for each in placed:
        write = each.write
        alike[write.kind, write.ttl_s, write.kept, write.identity, any_keys or write.tag].append(each)
    for group in alike.values():
        for part in _parts(group):
            yield _call(part, prefix, publish)


def _parts(group: Iterable[PlacedWrite]) -> Iterator[list[PlacedWrite]]:
    part: list[PlacedWrite] = []
    items = 0
    for each in group:
        part.append(each)
        items += each.write.items + each.write.of_runs
        if items >= CALL_ITEMS:
            yield part
            part, items = [], 0
    if part:
        yield part


def _call(part: list[PlacedWrite], prefix: str, publish: str) -> Call:
    first = part[0].write
    keys = chain.from_iterable((written_key(prefix, write.tag), *write.keys) for _, write in part)
    heads = "\n".join(f"{head} {write.skipped} {write.items} {write.of_runs}" for head, write in part)
    columns: Iterable[Iterable[bytes]] = zip(*(write.lists for _, write in part), strict=True)
    if first.kind is WriteKind.TRADES:  # no item of theirs is empty, but a write may have none of a list
        columns = (filter(None, column) for column in columns)
    lists = map(b"\n".join, columns)
    arguments = (first.kind, WRITTEN_TTL_S, publish, first.ttl_s, first.kept, first.identity, heads)
    return Call(tuple(keys), (*arguments, *lists))
