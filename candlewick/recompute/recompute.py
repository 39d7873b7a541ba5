"""A range of market time, computed again beside the live topics: planned, run to its end, and reported."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from candlewick.common import utc_us
from market.codec import RUN_HEADER, header
from market.utc import utc
from processors.candles.config import CandlesConfig
from processors.candles.core import Core
from processors.candles.range import RecomputeRange, load_recomputation
from processors.candles.range_plan import prepare_range
from processors.candles.worker import run_candles
from runtime.errors import UsageError
from runtime.kafka import read_to_end
from runtime.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RecomputeOptions:
    """What the command line says of a recomputation."""

    into: str | None
    from_: datetime | None
    until: datetime | None
    lead: timedelta

    @property
    def anything(self) -> bool:
        """Whether a recomputation is asked for at all."""
        return any(value is not None for value in (self.into, self.from_, self.until))


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What is in a recomputation's candle topic, and whether it is done."""

    range: RecomputeRange
    topic: str
    candles: int
    of_runs: int
    """So many of the candles are of runs."""
    markets: int
    begun_within: int
    """Markets whose series begins within the range although the log before was read only from the lead on."""
    records: int
    """Input records read."""
    is_final: bool

    def __str__(self) -> str:
        """The sentence that ends the command."""
        span = f"{utc(self.range.from_us)} until {utc(self.range.until_us)}"
        runs = f" ({self.of_runs} of runs)" if self.of_runs else ""
        what = f"{self.candles} candles{runs} of {self.markets} markets out of {self.records} records, in {self.topic}"
        if self.begun_within:
            what += f" ({self.begun_within} markets begin within the range; a longer --lead may find them earlier)"
        if not self.is_final:
            return f"interrupted: {span} is not whole yet: {what}; the same command goes on exactly where it was"
        return f"recomputed: {span}: {what}; candlewick verify --replay {self.range.suffix} compares it"


async def recompute(
    settings: Settings, config: CandlesConfig, asked: RecomputeOptions, stop: asyncio.Event
) -> Recomputed:
    """Recompute what is asked for, or go on with it, until its range is final or `stop`.

    Raises `UsageError` where options are missing, contradict each other or are no times.
    """
    if asked.into is None or asked.from_ is None or asked.until is None:
        raise UsageError("a recomputation needs all of --from, --until and --into")
    if config.from_start or config.accept_truncation:
        raise UsageError("--from-start and --accept-truncation are for the live topics, --into is not")
    recomputation = await prepare_range(
        settings,
        asked.into,
        from_us=utc_us(asked.from_),
        until_us=utc_us(asked.until),
        lead_us=asked.lead // timedelta(microseconds=1),
        rules=config.rules,
    )
    await run_candles(settings, replace(config, once=True, range=recomputation), stop)
    return await recomputed(settings, recomputation.suffix)


async def recomputed(settings: Settings, suffix: str) -> Recomputed:
    """How far the recomputation of that name is. Raises `UsageError` where there is none."""
    recomputation, cores = await load_recomputation(settings, suffix)
    if recomputation is None:
        raise UsageError(f"there is no recomputation {suffix}: candlewick candles --from … --until … --into {suffix}")
    topic = recomputation.topics(settings.topics).candles()
    pieces = recomputation.pieces
    candles = of_runs = 0
    markets: set[bytes] = set()
    async for records in read_to_end(settings, topic):
        for record in records:
            if record.value is None:
                continue
            candles += 1
            of_runs += header(record.headers, RUN_HEADER) is not None
            markets.add(record.key or b"")
    return Recomputed(
        range=recomputation,
        topic=topic,
        candles=candles,
        of_runs=of_runs,
        markets=len(markets),
        begun_within=sum(
            _begins_within(recomputation, core) for core in cores.values() if pieces[core.partition].start
        ),
        records=sum(core.position - pieces[partition].start for partition, core in cores.items()),
        is_final=await _is_final(settings, recomputation, cores),
    )


def _begins_within(recomputation: RecomputeRange, core: Core) -> int:
    live = (series for series in core.series.values() if series.run is None)
    return sum(recomputation.from_us < (series.begin_us or 0) < recomputation.until_us for series in live)


async def _is_final(settings: Settings, recomputation: RecomputeRange, cores: Mapping[int, Core]) -> bool:
    """Whether no record is left to read; offsets that only end a transaction are none."""
    for partition, core in cores.items():
        if recomputation.is_final(core):
            continue
        start = {partition: core.position}
        stop = {partition: recomputation.pieces[partition].end}
        async for records in read_to_end(settings, settings.topics.trades, partitions=start, start=start, stop=stop):
            if records:
                return False
    return True
