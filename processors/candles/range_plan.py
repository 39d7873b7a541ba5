"""Which part of the log has to be read to recompute a range of market time; and how a recomputation begins.

The log is read from an append time before the range (`lead_us`). There are two reasons: after a start in mid-log no
live series begins before the first record's append time plus two minutes, and a minute without trades takes its price
from an earlier one that was read. It is read until the final boundaries of all live series are past the range, and all
runs over it have ended. A run publishes only minutes that are over, so its records over the range never stand before
the start.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing

from market.codec import decode_feed_event, decode_progress
from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import MINUTE_US, next_minute_us
from market.topics import Topics
from market.utc import utc
from processors.candles.core import Rules, SeriesKey
from processors.candles.range import LogPiece, RecomputeRange, load_range
from processors.engine.input import AHEAD_US
from runtime.errors import UsageError
from runtime.kafka import TransactionalPublisher, decoded, ends, move_group, offsets_at, read_to_end
from runtime.kafka.admin import apply_topics, require_topics
from runtime.settings import Settings

_NAME = re.compile(r"(?!dlq$)[A-Za-z0-9_-]{1,64}")
_AFTER_EVENT_MS = 1_000
"""A run's end is told after its last record was acknowledged; the clocks of two brokers may differ by this much."""


async def prepare_range(
    settings: Settings, suffix: str, *, from_us: int, until_us: int, lead_us: int, rules: Rules
) -> RecomputeRange:
    """The recomputation of that name as it was begun, or a new one: topics made, group placed, range written down.

    `UsageError` if the name has another range or other rules, or if the log no longer reaches back to the range.
    """
    _check(suffix, from_us, until_us)
    topics = settings.topics.beside(suffix)
    await _make_topics(settings, topics)
    known = await load_range(settings, suffix)
    if known is not None:
        if (known.from_us, known.until_us, known.rules) != (from_us, until_us, rules):
            raise UsageError(
                f"--into {suffix} is the recomputation of {utc(known.from_us)} until {utc(known.until_us)} "
                f"({_words(known.rules)}): say the same again to go on with it, or take another name"
            )
        return known
    async for records in read_to_end(settings, topics.candles()):
        if records:
            raise UsageError(f"the topic {topics.candles()} holds records, but no recomputation: take another --into")
    pieces = await _plan(
        settings, from_us=from_us, until_us=until_us, lead_us=lead_us, allowed_lateness_us=rules.allowed_lateness_us
    )
    range_ = RecomputeRange(suffix=suffix, from_us=from_us, until_us=until_us, rules=rules, pieces=pieces)
    group = topics.group("candles")
    await move_group(settings, group, topics.trades, {partition: piece.start for partition, piece in pieces.items()})
    # The plan is written last, and all at once: after an interruption before this, it is made anew.
    async with TransactionalPublisher(settings, f"{group}.range") as publisher, publisher.transaction() as transaction:
        await transaction.send(topics.state, range_.records())
    return range_


async def first_minute_us(settings: Settings, topic: str, partition: int, offset: int) -> int | None:
    """The first minute at which a live series may begin after a start at this offset, in microseconds.

    None at offset 0, and where no record comes after the offset: such a start holds no series back.
    """
    if offset == 0:
        return None
    where = {partition: offset}
    async with aclosing(read_to_end(settings, topic, partitions=where, start=where)) as batches:
        async for records in batches:
            for record in records:
                return next_minute_us(record.timestamp * 1000 + AHEAD_US)
    return None


def _check(suffix: str, from_us: int, until_us: int) -> None:
    if _NAME.fullmatch(suffix) is None:
        raise UsageError(f"--into {suffix!r} must be 1 to 64 letters, digits, - or _ (and not dlq)")
    if from_us % MINUTE_US or until_us % MINUTE_US or from_us >= until_us:
        raise UsageError("--from and --until must be whole minutes, --from the earlier one")


def _words(rules: Rules) -> str:
    return f"closed on {rules.close_on}, grace {rules.grace_us / 1e6:g} s, revision base {rules.revision_base}"


async def _make_topics(settings: Settings, topics: Topics) -> None:
    own = {topics.candles(), topics.state, topics.late, topics.dead_letters(topics.trades)}
    await apply_topics(settings, [spec for spec in topics.specs() if spec.name in own])
    await require_topics(settings, own | {topics.trades, topics.progress, topics.feeds}, topics)


async def _plan(
    settings: Settings, *, from_us: int, until_us: int, lead_us: int, allowed_lateness_us: int
) -> dict[int, LogPiece]:
    topic = settings.topics.trades
    bounds = await ends(settings, topic)
    starts = await _starts(settings, bounds, from_us=from_us, lead_us=lead_us)
    finals_us = await _final_boundaries(
        settings, from_us=from_us, until_us=until_us, allowed_lateness_us=allowed_lateness_us
    )
    least = await _ends_of_runs(settings, bounds, from_us=from_us, until_us=until_us)
    return {
        partition: LogPiece(
            start=starts[partition],
            # Where producers write no progress, nobody knows which markets to wait for: then all of the log is read.
            least=min(least[partition], end) if finals_us[partition] else end,
            end=end,
            final_until_us=finals_us[partition],
        )
        for partition, (_, end) in bounds.items()
    }


async def _starts(
    settings: Settings, bounds: Mapping[int, tuple[int, int]], *, from_us: int, lead_us: int
) -> dict[int, int]:
    """Where to begin, by partition; an error where the log does not reach back far enough for every minute."""
    topic = settings.topics.trades
    offsets = await offsets_at(settings, topic, (from_us - lead_us) // 1000, bounds)
    starts: dict[int, int] = {}
    possible: dict[int, int] = {}
    for partition, (first, _) in bounds.items():
        back = 1  # one record earlier: in a quiet partition the next record may come much later than that time
        while True:
            start = starts[partition] = max(first, offsets[partition] - back)
            minute_us = await first_minute_us(settings, topic, partition, start)
            if minute_us is None or minute_us <= from_us:
                break
            if start == first:
                possible[partition] = minute_us
                break
            back *= 2
    if possible:
        partition = max(possible, key=possible.__getitem__)
        raise UsageError(
            f"the log of {topic} no longer reaches back to {utc(from_us)} (partition {partition} begins at offset "
            f"{bounds[partition][0]}): candles can be recomputed from {utc(possible[partition])} on"
        )
    return starts


async def _final_boundaries(
    settings: Settings, *, from_us: int, until_us: int, allowed_lateness_us: int
) -> dict[int, dict[MarketKey, int]]:
    """By partition: how far each market's final boundary has to come (past the range, or as far as it will come).

    0 for a market whose newest marker lies before the range: nobody waits for it.
    """
    finals_us: dict[int, dict[MarketKey, int]] = {partition: {} for partition in range(settings.partitions)}
    async for _, progress in decoded(settings, settings.topics.progress, decode_progress):
        newest_us = progress.complete_until_us
        if progress.run is None:
            of_partition = finals_us[partition_of(progress.key.encode(), settings.partitions)]
            market = MarketKey.parse(progress.key)
            final_until_us = min(until_us, newest_us - allowed_lateness_us) if newest_us > from_us else 0
            of_partition[market] = max(of_partition.get(market, 0), final_until_us)
    return finals_us


async def _ends_of_runs(
    settings: Settings, bounds: Mapping[int, tuple[int, int]], *, from_us: int, until_us: int
) -> dict[int, int]:
    """By partition: the offset after the last record of the runs over the range.

    The log's end if one of these runs has not ended, the log's beginning if there are none.
    """
    ended_ms: dict[int, dict[SeriesKey, int | None]] = defaultdict(dict)
    async for record, event in decoded(settings, settings.topics.feeds, decode_feed_event):
        if event.run is not None and _is_of_run_over(event, from_us, until_us):
            ended = event.event is FeedEventKind.RUN_ENDED
            of_partition = ended_ms[partition_of(event.key.encode(), settings.partitions)]
            of_partition[event.market, event.run] = record.timestamp if ended else None
    least = {partition: first for partition, (first, _) in bounds.items()}
    for partition, runs in ended_ms.items():
        known_ms = [time_ms for time_ms in runs.values() if time_ms is not None]
        if len(known_ms) < len(runs):
            least[partition] = bounds[partition][1]
        else:
            behind = await offsets_at(settings, settings.topics.trades, max(known_ms) + _AFTER_EVENT_MS, [partition])
            least[partition] = behind[partition]
    return least


def _is_of_run_over(event: FeedEvent, from_us: int, until_us: int) -> bool:
    """Whether a run begins or ends, and has minutes of the range."""
    if event.event not in {FeedEventKind.RUN_BEGUN, FeedEventKind.RUN_ENDED}:
        return False
    return (event.from_us or 0) < until_us and (event.until_us is None or event.until_us > from_us)
