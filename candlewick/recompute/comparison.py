"""A recomputation held against the live candles, byte for byte: key, value and headers, partition by partition.

Held are all revisions of the range's minutes that are made of records which the recomputation read. Memory is bounded:
the recomputed candles of a partition are taken in chunks of revisions, and the live partition is read for each.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from candlewick.recompute.recompute import recomputed
from market.records import Record
from market.utc import utc
from processors.candles.range import RecomputeRange, load_recomputation
from runtime.errors import UsageError
from runtime.kafka import offsets_at, read_to_end
from runtime.settings import Settings

CHUNK = 100_000
"""Recomputed candles of one partition that are held at once."""
MAX_NAMED = 20
_BEFORE_MS = 5 * 60_000
"""A candle is written after its minute; clocks of two machines may differ by so much."""


class CandleDifference(StrEnum):
    """How the two topics differ in a candle."""

    ONLY_LIVE = "only live"
    ONLY_RECOMPUTED = "only recomputed"
    DIFFERENT = "different"
    OUT_OF_ORDER = "out of order"


class Place(NamedTuple):
    """What is one candle's alone; in the order in which they are emitted."""

    revision: int
    open_time_ms: int
    key: bytes
    run: bytes

    def __str__(self) -> str:
        run = f" of run {self.run.decode(errors='replace')}" if self.run else ""
        return f"{self.key.decode(errors='replace')} {utc(self.open_time_ms * 1000)} revision {self.revision}{run}"


@dataclass
class Comparison:
    """What was found; `named` has the first `MAX_NAMED` differences as sentences."""

    span: str
    same: int = 0
    repeated: int = 0
    """Candles that the live topic holds again, byte for byte, as after a replay."""
    later: int = 0
    """Live candles that are made of records behind the recomputation's end."""
    counts: dict[CandleDifference, int] = field(default_factory=lambda: dict.fromkeys(CandleDifference, 0))
    named: list[str] = field(default_factory=list)

    def add(self, kind: CandleDifference, what: str) -> None:
        """Count a difference, and name it while there is room."""
        self.counts[kind] += 1
        if len(self.named) < MAX_NAMED:
            self.named.append(f"{kind.value}: {what}")

    @property
    def right(self) -> bool:
        """Whether nothing differs."""
        return not self.named

    def lines(self) -> list[str]:
        """The outcome in words."""
        more = sum(self.counts.values()) - len(self.named)
        counts = ", ".join(f"{count} {kind.value}" for kind, count in self.counts.items())
        told = [f"  {sentence}" for sentence in self.named] + ([f"  … and {more} more"] if more else [])
        if self.repeated:
            told.append(f"repeated: {self.repeated} (the live topic holds them again, byte for byte: a replay)")
        if self.later:
            told.append(f"later: {self.later} (made of records behind the recomputation's end; not compared)")
        if self.right and not self.same:
            return [*told, f"nothing to compare: neither topic holds a candle of {self.span}"]
        return [
            *told,
            f"{'verified' if self.right else 'NOT verified'}: {self.span}: {self.same} candles the same, {counts}",
        ]


async def compare_recomputation(settings: Settings, suffix: str) -> Comparison:
    """Hold the live 1m candles of the range against those that were recomputed under this name."""
    if not (await recomputed(settings, suffix)).is_final:
        raise UsageError(f"the recomputation {suffix} is not whole yet: run its candlewick candles command again")
    found, cores = await load_recomputation(settings, suffix)
    assert found is not None  # noqa: S101  # `recomputed` has read it
    comparison = Comparison(f"{utc(found.from_us)} until {utc(found.until_us)}")
    for partition, core in cores.items():
        await _Partition(settings, found, partition, core.position, comparison).hold()
    return comparison


class _Partition:
    def __init__(
        self, settings: Settings, found: RecomputeRange, partition: int, position: int, comparison: Comparison
    ) -> None:
        self._settings = settings
        self._range = found
        self._partition = partition
        self._behind = position + found.rules.revision_base
        """Revisions from here on are of records that were not read."""
        self._comparison = comparison

    async def hold(self) -> None:
        """Take the recomputed candles chunk by chunk; a revision is never parted."""
        chunk: dict[Place, bytes] = {}
        above = -1
        newest: Place | None = None
        async for place, digest in self._recomputed():
            if len(chunk) >= CHUNK and newest is not None and place.revision > newest.revision:
                await self._hold_chunk(chunk, above, newest.revision)
                chunk, above = {}, newest.revision
            if newest is not None and place <= newest:
                self._comparison.add(CandleDifference.OUT_OF_ORDER, f"recomputed {place} behind {newest}")
            chunk[place] = digest
            newest = place
        await self._hold_chunk(chunk, above, None)

    async def _recomputed(self) -> AsyncIterator[tuple[Place, bytes]]:
        topic = self._range.topics(self._settings.topics).candles()
        async for records in read_to_end(self._settings, topic, partitions=[self._partition]):
            for record in records:
                place = _place(record)
                if place is None:
                    self._comparison.add(CandleDifference.DIFFERENT, f"offset {record.offset} of {topic} is no candle")
                else:
                    yield place, _digest(record)

    async def _hold_chunk(self, chunk: dict[Place, bytes], above: int, last: int | None) -> None:
        """Hold the live candles with revisions of (above, last] against `chunk`; last None: all above."""
        comparison, seen = self._comparison, set[Place]()
        newest: Place | None = None
        async for place, record in self._live(is_first=above < 0):
            if not above < place.revision or (last is not None and place.revision > last):
                continue
            if place.revision >= self._behind:
                comparison.later += 1
                continue
            digest = chunk.get(place)
            if digest is None:
                comparison.add(CandleDifference.ONLY_LIVE, f"{place} at offset {record.offset}")
                continue
            if digest != _digest(record):
                comparison.add(CandleDifference.DIFFERENT, f"{place} at offset {record.offset}")
            elif place in seen:
                comparison.repeated += 1
                continue
            else:
                comparison.same += 1
            if newest is not None and place < newest and place not in seen:
                comparison.add(CandleDifference.OUT_OF_ORDER, f"{place} at offset {record.offset} behind {newest}")
            newest = place
            seen.add(place)
        for place in chunk.keys() - seen:
            comparison.add(CandleDifference.ONLY_RECOMPUTED, str(place))

    async def _live(self, *, is_first: bool) -> AsyncIterator[tuple[Place, Record]]:
        """The live candles of the range's minutes."""
        topic, partition = self._settings.topics.candles(), self._partition
        from_ms, until_ms = self._range.from_us // 1000, self._range.until_us // 1000
        start = await offsets_at(self._settings, topic, from_ms - _BEFORE_MS, [partition])
        async for records in read_to_end(self._settings, topic, partitions=[partition], start=start):
            for record in records:
                place = _place(record)
                if place is not None and from_ms <= place.open_time_ms < until_ms:
                    yield place, record
                elif place is None and record.value is not None and is_first:
                    self._comparison.add(CandleDifference.DIFFERENT, f"offset {record.offset} of {topic} is no candle")


def _place(record: Record) -> Place | None:
    run = dict(record.headers).get("run", b"")
    try:
        fields = json.loads(record.value or b"")
        return Place(int(fields["revision"]), int(fields["open_time_ms"]), record.key or b"", run)
    except (ValueError, KeyError, TypeError):
        return None


def _digest(record: Record) -> bytes:
    """Sixteen bytes that stand for key, value and headers, each of which is told from the next."""
    whole = blake2b(digest_size=16)
    for part in (
        record.key,
        record.value,
        *(part for name, value in record.headers for part in (name.encode(), value)),
    ):
        whole.update(b"-" if part is None else b"%d:" % len(part))
        whole.update(part or b"")
    return whole.digest()
