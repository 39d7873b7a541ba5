"""Moving a group to another place in the log: planned first, then done."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from candlewick.common import utc_us
from candlewick.health.lag import inputs
from processors.candles.range_plan import first_minute_us
from runtime.errors import UsageError
from runtime.kafka import ends, move_group, offsets_at
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


class Place(StrEnum):
    """Where a group can be moved to, beside an offset and a time."""

    EARLIEST = "earliest"
    LATEST = "latest"
    CURRENT = "current"
    """Offsets stay as they are; the topic and the store as they are now are taken for the right ones."""


class Move(NamedTuple):
    """One partition's move, in offsets."""

    topic: str
    partition: int
    now: int | None
    """None: the group has no offset there."""
    to: int
    end: int
    candles_from_us: int | None = None
    """Of the engines: the first minute of live candles or bars; None: all minutes of the log count."""

    @property
    def again(self) -> int:
        """How many offsets are read again; below 0: how many are skipped."""
        return 0 if self.now is None else self.now - self.to


def stage_of(settings: Settings, group: str) -> str:
    """The stage of `group`, which is named with or without its prefix; a `UsageError` where there is none."""
    stages = inputs(settings.topics)
    stage = group.removeprefix(settings.topics.group(""))
    if stage not in stages:
        raise UsageError(f"no group {group}: there is {', '.join(stages)}")
    return stage


async def plan_moves(settings: Settings, stage: str, to: Place | int | datetime) -> list[Move]:
    """Where every partition of the stage's topics stands, and where `to` is.

    `to` is a place, an offset (of every partition, held within its ends) or a time of the log clock. A `UsageError`
    says that there can be no such offset or time.
    """
    if isinstance(to, int) and to < 0:
        raise UsageError(f"--to {to} is no offset: give 0 or more")
    committed = await group_offsets(settings, settings.topics.group(stage))
    moves: list[Move] = []
    for topic in inputs(settings.topics)[stage]:
        bounds = await ends(settings, topic)
        if to is Place.CURRENT:
            targets: Mapping[int, int] = {partition: committed.get((topic, partition), 0) for partition in bounds}
        else:
            targets = await _targets(settings, topic, to, bounds)
        for partition, (first, end) in sorted(bounds.items()):
            target = min(max(first, targets[partition]), end)
            moves.append(Move(topic, partition, committed.get((topic, partition)), target, end))
    if stage in ("candles", "bars"):
        moves = await asyncio.gather(*(_with_first_minute(settings, move) for move in moves))
    return moves


async def apply_moves(settings: Settings, stage: str, moves: Iterable[Move]) -> None:
    """Move the group; a `CandlewickError` while it has members."""
    by_topic: dict[str, dict[int, int]] = {}
    for move in moves:
        by_topic.setdefault(move.topic, {})[move.partition] = move.to
    for topic, offsets in by_topic.items():
        await move_group(settings, settings.topics.group(stage), topic, offsets)


async def _targets(
    settings: Settings, topic: str, to: Place | int | datetime, bounds: Mapping[int, tuple[int, int]]
) -> Mapping[int, int]:
    if to is Place.EARLIEST:
        return {partition: first for partition, (first, _) in bounds.items()}
    if to is Place.LATEST:
        return {partition: end for partition, (_, end) in bounds.items()}
    if isinstance(to, datetime):
        return await offsets_at(settings, topic, utc_us(to) // 1000, bounds)
    return dict.fromkeys(bounds, int(to))


async def _with_first_minute(settings: Settings, move: Move) -> Move:
    """After a start in mid-log no live series begins before the first record's append time plus two minutes."""
    return move._replace(candles_from_us=await first_minute_us(settings, move.topic, move.partition, move.to))
