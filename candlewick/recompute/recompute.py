"""A range of market time, computed again beside the live topics: planned, run to its end, and told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from candlewick.common import parse_time_us
from market.codec import RUN_HEADER, header
from market.utc import utc
from processors.candles.assigned_partition import CandlesConfig
from processors.candles.core import Core
from processors.candles.range import RecomputeRange, load_recomputation
from processors.candles.range_plan import prepare_range
from processors.candles.worker import run_candles
from runtime.errors import UsageError
from runtime.kafka import read_to_end
from runtime.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says of a recomputation; times as a person writes them."""

    into: str | None
    from_: str | None
    until: str | None
    lead_s: float

    @property
    def anything(self) -> bool:
        """Whether a recomputation is asked for at all."""
        return any(value is not None for value in (self.into, self.from_, self.until))


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What stands in a recomputation's candle topic, and whether it is done."""

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


async def recompute(settings: Settings, config: CandlesConfig, asked: Asked, stop: asyncio.Event) -> Recomputed:
    """Recompute what is asked for, or go on with it, until its range is final or `stop`."""
    if asked.into is None or asked.from_ is None or asked.until is None:
        raise UsageError("a recomputation needs all of --from, --until and --into")
    if config.from_start or config.accept_truncation:
        raise UsageError("--from-start and --accept-truncation are for the live topics, --into is not")
    found = await prepare_range(
        settings,
        asked.into,
        from_us=_minute_us("--from", asked.from_),
        until_us=_minute_us("--until", asked.until),
        lead_us=round(asked.lead_s * 1_000_000),
        rules=config.rules,
    )
    await run_candles(settings, replace(config, once=True, range=found), stop)
    return await recomputed(settings, found.suffix)


async def recomputed(settings: Settings, suffix: str) -> Recomputed:
    """How far the recomputation of that name is; a `UsageError` where there is none."""
    found, cores = await load_recomputation(settings, suffix)
    if found is None:
        raise UsageError(f"there is no recomputation {suffix}: candlewick candles --from … --until … --into {suffix}")
    topic = found.topics(settings.topics).candles()
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
        range=found,
        topic=topic,
        candles=candles,
        of_runs=of_runs,
        markets=len(markets),
        begun_within=sum(_begins_within(found, core) for core in cores.values() if found.pieces[core.partition].start),
        records=sum(core.position - found.pieces[partition].start for partition, core in cores.items()),
        is_final=await _is_final(settings, found, cores),
    )


def _begins_within(found: RecomputeRange, core: Core) -> int:
    live = (series for series in core.series.values() if series.run is None)
    return sum(found.from_us < (series.begin_us or 0) < found.until_us for series in live)


async def _is_final(settings: Settings, found: RecomputeRange, cores: Mapping[int, Core]) -> bool:
    """Whether nothing is left to read; the ends of transactions take offsets too, and are nothing."""
    for partition, core in cores.items():
        if found.is_final(core):
            continue
        where = {partition: core.position}
        stop = {partition: found.pieces[partition].end}
        async for records in read_to_end(settings, settings.topics.trades, partitions=where, start=where, stop=stop):
            if records:
                return False
    return True


def _minute_us(flag: str, text: str) -> int:
    try:
        return parse_time_us(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{flag} {text} is no time like 2026-01-31T12:00Z") from None
