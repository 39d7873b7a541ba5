"""Moving a group to another place in the log: planned first, then done."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from candlewick.common import parse_time_us
from candlewick.health.lag import inputs
from processors.candles.range_plan import first_minute_us
from runtime.errors import UsageError
from runtime.kafka import ends, move_group, offsets_at
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


class Move(NamedTuple):
    """One partition's move; `now` None: the group has no offset there."""

    topic: str
    partition: int
    now: int | None
    to: int
    end: int
    candles_from_us: int | None = None
    """Of the candle engine: no live candle of an earlier minute will come; None: all that the log holds."""

    @property
    def again(self) -> int:
        """Records that are read again; below 0: that are skipped, by offsets."""
        return 0 if self.now is None else self.now - self.to


def stage_of(settings: Settings, group: str) -> str:
    """The stage that a group belongs to, given its name with or without what stands before it."""
    stages = inputs(settings.topics)
    stage = group.removeprefix(settings.topics.group(""))
    if stage not in stages:
        raise UsageError(f"no group {group}: there is {', '.join(stages)}")
    return stage


async def plan_moves(settings: Settings, stage: str, to: str) -> list[Move]:
    """Where every partition of the stage's topics stands, and where `to` is.

    `to` is ``earliest``, ``latest``, ``current``, an offset (of every partition, held within its ends) or a time of the
    log clock. ``current`` leaves the offsets as they are and takes the topic and the store for the right ones.
    """
    committed = await group_offsets(settings, settings.topics.group(stage))
    moves: list[Move] = []
    for topic in inputs(settings.topics)[stage]:
        bounds = await ends(settings, topic)
        if to == "current":
            targets: Mapping[int, int] = {partition: committed.get((topic, partition), 0) for partition in bounds}
        else:
            targets = await _targets(settings, topic, to, bounds)
        for partition, (first, end) in sorted(bounds.items()):
            target = min(max(first, targets[partition]), end)
            moves.append(Move(topic, partition, committed.get((topic, partition)), target, end))
    if stage == "candles":
        moves = await asyncio.gather(*(_with_first_minute(settings, move) for move in moves))
    return moves


async def apply_moves(settings: Settings, stage: str, moves: Iterable[Move]) -> None:
    """Move the group; refused while it has members."""
    by_topic: dict[str, dict[int, int]] = {}
    for move in moves:
        by_topic.setdefault(move.topic, {})[move.partition] = move.to
    for topic, offsets in by_topic.items():
        await move_group(settings, settings.topics.group(stage), topic, offsets)


async def _targets(settings: Settings, topic: str, to: str, bounds: Mapping[int, tuple[int, int]]) -> Mapping[int, int]:
    if to == "earliest":
        return {partition: first for partition, (first, _) in bounds.items()}
    if to == "latest":
        return {partition: end for partition, (_, end) in bounds.items()}
    if to.isascii() and to.isdigit():
        return dict.fromkeys(bounds, int(to))
    try:
        time_us = parse_time_us(to)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--to {to} is neither earliest, latest, current, an offset, nor a time like 2026-01-31T12:00Z"
        ) from None
    return await offsets_at(settings, topic, time_us // 1000, bounds)


async def _with_first_minute(settings: Settings, move: Move) -> Move:
    """After a start in mid-log no live series begins before the first record's append time plus two minutes."""
    return move._replace(candles_from_us=await first_minute_us(settings, move.topic, move.partition, move.to))
