"""The bar engine on a real Kafka, as tests use it: run it, read what it wrote, kill it."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bar_log import FILE, THRESHOLDS
from candle_engine import read_all, source_of
from kill_points import came_to_its_point
from market_log import KEYS

from candlewick.verify.findings import Findings
from candlewick.verify.log_reader import check_bars
from market.codec import encode_bar, header
from market.topics import Topics
from processors.bars.config import BarsConfig
from processors.bars.core import Adoption, BarCore, BarRules
from processors.bars.thresholds import BarThresholds, parse_thresholds
from processors.bars.worker import run_bars
from runtime.kafka import ends, read_to_end
from runtime.settings import Settings

SCRIPT = Path(__file__).parents[1] / "faults" / "killed_bars.py"


async def one_bar_pass(settings: Settings, thresholds: BarThresholds = THRESHOLDS, **flags: Any) -> None:
    """The engine with ``--once``."""
    config = BarsConfig(thresholds=thresholds, once=True, **flags)
    await asyncio.wait_for(run_bars(settings, config, asyncio.Event()), 90)


async def bar_lines(settings: Settings, topic: str | None = None) -> list[str]:
    """Every committed bar, with its partition and its run, in the order of the log."""
    return [
        _line(record.partition, record.key, record.value, header(record.headers, "run"))
        async for records in read_to_end(settings, topic or settings.topics.bars)
        for record in records
    ]


async def expected_bar_lines(
    settings: Settings,
    thresholds: BarThresholds = THRESHOLDS,
    *,
    then: BarThresholds | None = None,
    reached: Mapping[tuple[str, int], int] = MappingProxyType({}),
) -> list[str]:
    """What one uninterrupted pass of the pure core makes of the input as it stands in Kafka.

    `then`: the thresholds from the offsets `reached` on.
    """
    lines = []
    topic = settings.topics.trades
    for partition in range(settings.partitions):
        records = [record async for some in read_to_end(settings, topic, partitions=[partition]) for record in some]
        core = BarCore(
            partition=partition,
            partitions=settings.partitions,
            position=0,
            rules=BarRules(),
            thresholds=thresholds,
            awaits_floor=False,
        )
        if then is not None:
            core.adoption = Adoption(then, reached.get((topic, partition), 0))
        for bar, run in core.process(records).bars:
            lines.append(_line(partition, bar.key.encode(), encode_bar(bar), None if run is None else run.encode()))
    return lines


async def assert_each_bar_once(settings: Settings, file: str = FILE, keys: Collection[str] = KEYS) -> None:
    """The bars are those of one uninterrupted pass, each once, and what the verifier makes of trades and markers.

    So are the dead letters, each once.
    """
    assert sorted(await bar_lines(settings)) == sorted(await expected_bar_lines(settings, parse_thresholds(file, "")))
    findings = Findings(bars=0)
    await check_bars(settings, file, keys, findings)
    assert findings.named == []
    assert findings.bars
    letters = settings.topics.dead_letters(settings.topics.trades)
    dead = [source_of(record) for record in await read_all(settings, letters)]
    assert len(dead) == len(set(dead))


async def bars_lag(settings: Settings, offsets: dict[tuple[str, int], int], topics: Topics) -> int:
    """How far the group's offsets are behind the log's end."""
    log_ends = await ends(settings, topics.trades)
    return sum(end.next - offsets.get((topics.trades, partition), 0) for partition, end in log_ends.items())


async def killed_bars(environment: dict[str, str], file: Path, step: str, occurrence: int, *, within_s: float) -> bool:
    """Run the engine until it kills itself at the step, or is killed after a while; whether it came to the step."""
    return await came_to_its_point(environment, SCRIPT, [step, str(occurrence), str(file)], within_s=within_s)


def _line(partition: int, key: bytes | None, value: bytes | None, run: bytes | None) -> str:
    return f"{partition} {key!r} {run!r} {value!r}"
