"""A range of market time that is recomputed beside the live topics: which candles are kept, and when it is final.

The plan of a recomputation stands in its state topic, one record a partition under the key ``["range"]``. Whoever goes
on with the recomputation, or compares it, reads the plan there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from market.candle import Candle
from market.key import MarketKey
from market.topics import Topics
from processors.candles.core import CloseOn, Core, Rules
from processors.candles.state import core_of
from processors.engine.state import RANGE_KEY, VERSION, StoredState
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, read_to_end
from runtime.kafka.admin import diff_topics
from runtime.settings import Settings


@dataclass(frozen=True, kw_only=True)
class LogPiece:
    """What a recomputation reads of one input partition, by offsets."""

    start: int
    least: int
    """The log is read at least up to here: runs over the range end here."""
    end: int
    """The log's end when the recomputation was planned: the log is read no farther."""
    final_until_us: Mapping[MarketKey, int]
    """How far each market's final boundary has to come; 0: its trades ended before the range."""


@dataclass(frozen=True, kw_only=True)
class RecomputeRange:
    """The minutes [from_us, until_us) of market time, and the piece of the log they are recomputed from."""

    suffix: str
    from_us: int
    until_us: int
    rules: Rules
    pieces: Mapping[int, LogPiece]
    """By partition."""

    def topics(self, topics: Topics) -> Topics:
        """The names that belong to this recomputation."""
        return topics.beside(self.suffix)

    def keep(self, candles: Iterable[tuple[Candle, str | None]]) -> list[tuple[Candle, str | None]]:
        """The candles of its minutes."""
        from_ms, until_ms = self.from_us // 1000, self.until_us // 1000
        return [(candle, run) for candle, run in candles if from_ms <= candle.open_time_ms < until_ms]

    def is_final(self, core: Core) -> bool:
        """Whether the rest of the planned piece can no longer change a candle of the range."""
        piece = self.pieces[core.partition]
        if core.position >= piece.end:
            return True
        if core.position < piece.least:
            return False
        live = {market: series for (market, run), series in core.series.items() if run is None}
        reached_us = {market: series.final_until_us or 0 for market, series in live.items()}
        needed_us = dict.fromkeys(reached_us, self.until_us) | dict(piece.final_until_us)
        return all(reached_us.get(market, 0) >= needed for market, needed in needed_us.items())

    def records(self) -> Iterable[Outgoing]:
        """The records that keep the plan in the state topic."""
        for partition, piece in self.pieces.items():
            value = {
                "v": VERSION,
                "from_us": self.from_us,
                "until_us": self.until_us,
                "close_on": self.rules.close_on,
                "grace_us": self.rules.grace_us,
                "revision_base": self.rules.revision_base,
                "allowed_lateness_us": self.rules.allowed_lateness_us,
                "start": piece.start,
                "least": piece.least,
                "end": piece.end,
                "final_until_us": {str(market): until_us for market, until_us in piece.final_until_us.items()},
            }
            yield Outgoing(RANGE_KEY, orjson.dumps(value), partition=partition)


async def load_range(settings: Settings, suffix: str) -> RecomputeRange | None:
    """The recomputation of that name; None where there is none yet."""
    return (await load_recomputation(settings, suffix))[0]


async def load_recomputation(settings: Settings, suffix: str) -> tuple[RecomputeRange | None, dict[int, Core]]:
    """The recomputation of that name and the core of every partition as it was committed."""
    topics = settings.topics.beside(suffix)
    missing = await diff_topics(settings, [spec for spec in topics.specs() if spec.name == topics.state])
    if any(difference.what == "missing" for difference in missing):
        return None, {}
    stored: dict[int, StoredState] = {partition: StoredState() for partition in range(settings.partitions)}
    for partition, state in stored.items():
        async for records in read_to_end(settings, topics.state, partitions=[partition]):
            state.take(records)
    values = {partition: value for partition, state in stored.items() if (value := state.values.get(RANGE_KEY))}
    if not values:
        return None, {}
    if len(values) != settings.partitions:
        raise CandlewickError(f"the state topic {topics.state} holds only a part of its range: take another --into")
    range_ = _restored(suffix, values)
    cores = {partition: _core(range_, partition, state, settings.partitions) for partition, state in stored.items()}
    return range_, cores


def _core(range_: RecomputeRange, partition: int, stored: StoredState, partitions: int) -> Core:
    if stored.position is not None:
        return core_of(stored, partition=partition, partitions=partitions, rules=range_.rules)
    start = range_.pieces[partition].start
    return Core(partition=partition, partitions=partitions, position=start, rules=range_.rules, awaits_floor=start > 0)


def _restored(suffix: str, values: Mapping[int, Mapping[str, Any]]) -> RecomputeRange:
    value = next(iter(values.values()))  # what all partitions have in common
    rules = Rules(
        allowed_lateness_us=value["allowed_lateness_us"],
        close_on=CloseOn(value["close_on"]),
        grace_us=value["grace_us"],
        revision_base=value["revision_base"],
    )
    pieces = {partition: _piece(of_partition) for partition, of_partition in values.items()}
    return RecomputeRange(
        suffix=suffix, from_us=value["from_us"], until_us=value["until_us"], rules=rules, pieces=pieces
    )


def _piece(value: Mapping[str, Any]) -> LogPiece:
    final_until_us = {MarketKey.parse(key): until_us for key, until_us in value["final_until_us"].items()}
    return LogPiece(start=value["start"], least=value["least"], end=value["end"], final_until_us=final_until_us)
