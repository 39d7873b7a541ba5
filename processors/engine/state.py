"""An engine's state as records of a compacted topic.

A partition holds, for the input partition of the same number: how far outputs are committed, how far the state goes (a
checkpoint, now and then), and what else the engine keeps. Keys are JSON arrays, so that no run or symbol can be
mistaken for a separator. A record of a newer version than ours stops the start.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from market.decimals import plain
from market.records import Record
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing

VERSION = 1
_POSITION = orjson.dumps(["position"])
_COMMITTED = orjson.dumps(["committed"])
_OFFSETS = {_POSITION, _COMMITTED}
RANGE_KEY = orjson.dumps(["range"])
"""The plan of a recomputation; it stays when the state is dropped."""


class StateError(CandlewickError):
    """The state topic holds what this program can't read."""


@dataclass(kw_only=True)
class StoredState:
    """A state partition, read: the newest value of every key."""

    _newest: dict[bytes, Record] = field(default_factory=dict)

    def take(self, records: Iterable[Record]) -> None:
        """Take in records in offset order."""
        for record in records:
            if record.key is None:
                raise StateError(f"the state topic holds a record without a key at offset {record.offset}")
            if record.value is None:
                self._newest.pop(record.key, None)
            else:
                self._newest[record.key] = record

    @cached_property
    def values(self) -> dict[bytes, dict[str, Any]]:
        """By key, once all is read. Only the newest record of a key is decoded, even if compaction has left older ones.

        `StateError` if a record is broken, or of a newer version.
        """
        return {key: _read(key, record) for key, record in self._newest.items()}

    @property
    def position(self) -> int | None:
        """Offset of the next input record as of the last checkpoint; None without one."""
        return self._offset(_POSITION)

    @property
    def committed(self) -> int | None:
        """The same as of the last commit. Of the records between the two, outputs are committed and state is not."""
        return self._offset(_COMMITTED)

    def _offset(self, key: bytes) -> int | None:
        value = self.values.get(key)
        return None if value is None else int(value["offset"])

    @property
    def floor_us(self) -> int | None:
        """Before this time no live series begins, because reading began in mid-log; None: it did not."""
        floor_us: int | None = self.values[_POSITION]["floor_us"]
        return floor_us

    @property
    def topic_id(self) -> str | None:
        """Kafka's id of the topic that the state was made of; None if the state does not say."""
        return self.values.get(_POSITION, {}).get("topic_id")

    @property
    def revision_base(self) -> int:
        """The revision base that the published revisions contain."""
        return int(self.values.get(_POSITION, {}).get("revision_base", 0))

    def drop(self, partition: int) -> list[Outgoing]:
        """Records that clear all of the state but the positions and the range."""
        return [Outgoing(key, None, (), partition) for key in self.values if key not in {*_OFFSETS, RANGE_KEY}]


@contextmanager
def restoring(partition: int) -> Iterator[None]:
    """Turn what goes wrong while a core is made of the stored values into a `StateError`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise StateError(
            f"the state of partition {partition} lacks something or is broken ({type(error).__name__}: {error}): "
            "move the group with candlewick replay to make it anew from the log"
        ) from error


def committed(position: int, partition: int) -> Outgoing:
    """The record of a commit: how far the outputs go."""
    return Outgoing(_COMMITTED, state_value({"offset": position}), (), partition)


def checkpointed(
    *, position: int, partition: int, floor_us: int | None, topic_id: str | None, revision_base: int
) -> Outgoing:
    """The record of a checkpoint: how far the state goes.

    `topic_id` is Kafka's id of the input topic: offsets mean nothing in another topic of the same name.
    """
    value = {"offset": position, "floor_us": floor_us, "topic_id": topic_id, "revision_base": revision_base}
    return Outgoing(_POSITION, state_value(value), (), partition)


def _read(key: bytes, record: Record) -> dict[str, Any]:
    try:
        value: dict[str, Any] = orjson.loads(record.value or b"")
        version = int(value["v"])
        if key in _OFFSETS and version <= VERSION:
            int(value["offset"])
            int(value.get("revision_base", 0))
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"the state topic holds a broken record at offset {record.offset}: {error}") from error
    if version > VERSION:
        raise StateError(
            f"the state was written by a newer version ({version}, this one reads {VERSION}): run that version"
        )
    return value


def state_value(fields: dict[str, Any]) -> bytes:
    """The value of a state record, with our version."""
    # A copy: orjson allocates a kilobyte or more for a short text, and a checkpoint has tens of thousands of them.
    return memoryview(orjson.dumps({"v": VERSION, **fields}, default=_decimal)).tobytes()


def _decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
