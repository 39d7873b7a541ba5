"""How far each group is behind the log, by its committed offsets."""

import asyncio
from collections.abc import Iterable, Mapping

from market.codec import ROLL_HEADER, header
from market.timeframe import Timeframe
from market.topics import Topics
from runtime.kafka import ends, read_to_end, stable_ends
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

_LOOK_BELOW = 1_000
"""Up to so many offsets are looked at: are they records, or the ends of transactions?"""

_NOT_EVERYWHERE = ("bars", "signals", "sink.postgres")

Ends = Mapping[str, Mapping[int, tuple[int, int]]]
"""Topic → partition → first and next offset."""


def inputs(topics: Topics) -> dict[str, list[str]]:
    """The topics that each consuming stage reads, in the order in which records pass the stages."""
    closed, every_timeframe = topics.candles(), [topics.candles(timeframe) for timeframe in Timeframe]
    asked_for = [topics.funding, topics.instruments, topics.signals, topics.bars]
    kept = [topics.trades, closed, topics.feeds, *asked_for]
    return {
        "candles": [topics.trades],
        "bars": [topics.trades],
        "rolling": [closed],
        "signals": [closed],
        "sink.redis": [topics.trades, topics.live, topics.tickers, *every_timeframe, *asked_for],
        "sink.clickhouse": [*kept, topics.tickers],
        "sink.parquet": kept,
        "sink.postgres": [*kept, topics.tickers],
    }


async def stages_in_use(settings: Settings) -> list[str]:
    """All stages, but those that not everybody runs only if their group has committed an offset."""
    stages = inputs(settings.topics)
    used = await asyncio.gather(*(group_offsets(settings, settings.topics.group(stage)) for stage in _NOT_EVERYWHERE))
    unused = {stage for stage, offsets in zip(_NOT_EVERYWHERE, used, strict=True) if not offsets}
    return [stage for stage in stages if stage not in unused]


async def stage_lags(settings: Settings, stages: Iterable[str]) -> dict[str, int]:
    """How many records of the log, as it is now, each stage's group has not committed."""
    by_stage = {stage: inputs(settings.topics)[stage] for stage in stages}
    names = sorted({topic for topics in by_stage.values() for topic in topics})
    log_ends: Ends = dict(zip(names, await asyncio.gather(*(ends(settings, name) for name in names)), strict=True))
    return {stage: await _lag(settings, stage, topics, log_ends) for stage, topics in by_stage.items()}


async def _lag(settings: Settings, stage: str, topics: Iterable[str], log_ends: Ends) -> int:
    committed = await group_offsets(settings, settings.topics.group(stage))
    total = 0
    for topic in topics:
        positions = {
            partition: max(first, committed.get((topic, partition), 0))
            for partition, (first, _) in log_ends[topic].items()
        }
        behind = {
            partition: positions[partition]
            for partition, (_, end) in log_ends[topic].items()
            if end > positions[partition]
        }
        offsets = sum(log_ends[topic][partition][1] - position for partition, position in behind.items())
        if 0 < offsets <= _LOOK_BELOW:
            offsets = await _records_from(settings, topic, behind, log_ends[topic])
        total += offsets
    return total


async def _records_from(
    settings: Settings, topic: str, positions: Mapping[int, int], topic_ends: Mapping[int, tuple[int, int]]
) -> int:
    """The number of records from `positions` on: the ends of transactions have offsets too, and rolls are not counted.

    What an open transaction hides can't be read: each of its offsets counts as one record.
    """
    stable = await stable_ends(settings, topic, positions)
    count = sum(
        max(0, topic_ends[partition][1] - max(position, stable[partition])) for partition, position in positions.items()
    )
    async for records in read_to_end(settings, topic, partitions=positions, start=positions, stop=stable, wait=False):
        count += sum(1 for record in records if record.value is not None or header(record.headers, ROLL_HEADER) is None)
    return count
