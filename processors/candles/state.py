"""The engine's state as records of the compacted topic `candlewick.candles.state.v1`.

A partition holds, for the input partition of the same number: how far outputs are committed, how far the state goes (a
checkpoint, now and then), a small record per series, and one per held minute. Keys are JSON arrays
(``["minute","binance:BTC-USDT",null,1700000000000000]``), so that no run or symbol can be mistaken for a separator. A
record of a newer version than ours stops the start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from market.key import MarketKey
from market.records import Record
from processors.candles.core import Core, Rules, SeriesKey
from processors.candles.minute import HeldMinute
from processors.candles.series import Series
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
    def topic_id(self) -> str | None:
        """Kafka's id of the topic that the state was made of; None if the state does not say."""
        return self.values.get(_POSITION, {}).get("topic_id")

    @property
    def revision_base(self) -> int:
        """The revision base that the published revisions contain."""
        return int(self.values.get(_POSITION, {}).get("revision_base", 0))

    def core(self, *, partition: int, partitions: int, rules: Rules) -> Core:
        """The core as it stood at the checkpoint; unknown fields and records of unknown kinds are passed over.

        `StateError` where something is missing or broken.
        """
        try:
            return self._core(partition=partition, partitions=partitions, rules=rules)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise StateError(
                f"the state of partition {partition} lacks something or is broken ({type(error).__name__}: {error}): "
                "move the group with candlewick replay to make it anew from the log"
            ) from error

    def _core(self, *, partition: int, partitions: int, rules: Rules) -> Core:
        core = Core(
            partition=partition,
            partitions=partitions,
            position=self.position or 0,
            rules=rules,
            awaits_floor=False,
        )
        core.floor_us = self.values[_POSITION]["floor_us"]
        minutes: list[tuple[SeriesKey, HeldMinute]] = []
        for raw, value in self.values.items():
            kind, *name = orjson.loads(raw)
            if kind == "series":
                key, run = name
                market = MarketKey.parse(key)
                core.series[market, run] = Series.restore(
                    market, run, value, allowed_lateness_us=rules.allowed_lateness_us
                )
            elif kind == "minute":
                key, run, open_us = name
                minutes.append(((MarketKey.parse(key), run), HeldMinute.restore(open_us, value)))
        for series_key, minute in minutes:
            core.series[series_key].insert(minute)
        return core

    def drop(self, partition: int) -> list[Outgoing]:
        """Records that clear all of the state but the positions and the range."""
        return [Outgoing(key, None, (), partition) for key in self.values if key not in {*_OFFSETS, RANGE_KEY}]


def committed(core: Core) -> Outgoing:
    """The record of a commit: how far the outputs go."""
    return Outgoing(_COMMITTED, _value({"offset": core.position}), (), core.partition)


def changes(core: Core, topic_id: str | None = None) -> Iterator[Outgoing]:
    """A checkpoint: the records that bring the stored state up to `core`; then call `mark_clean`.

    `topic_id` is Kafka's id of the input topic: offsets mean nothing in another topic of the same name.
    """
    partition = core.partition
    position = {
        "offset": core.position,
        "floor_us": core.floor_us,
        "topic_id": topic_id,
        "revision_base": core.rules.revision_base,
    }
    yield Outgoing(_POSITION, _value(position), (), partition)
    for series_key in core.dirty_series:
        series = core.series[series_key]
        name = orjson.dumps([str(series.market), series.run])[1:-1]  # "binance:BTC-USDT",null
        if series.is_dirty:
            yield Outgoing(b'["series",%b]' % name, _value(series.snapshot()), (), partition)
        for open_us in series.dirty_minutes:
            minute = series.minutes.get(open_us)
            value = None if minute is None else _value(minute.snapshot())
            yield Outgoing(b'["minute",%b,%d]' % (name, open_us), value, (), partition)


def mark_clean(core: Core) -> None:
    """Note that all changes are written."""
    for series_key in core.dirty_series:
        series = core.series[series_key]
        series.is_dirty = False
        series.dirty_minutes.clear()
    core.dirty_series.clear()


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


def _value(fields: dict[str, Any]) -> bytes:
    # A copy: orjson allocates a kilobyte or more for a short text, and a checkpoint has tens of thousands of them.
    return memoryview(orjson.dumps({"v": VERSION, **fields})).tobytes()
