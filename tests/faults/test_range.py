"""A range recomputed beside the live topics: out of a piece of the log, interrupted, killed, and held against them."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import orjson
import pytest
from candle_engine import Process, delete_records, fill, fill_in_batches, one_pass, read_all
from eventually import eventually
from killed_candles import STEPS
from market_log import MINUTE, START, Log, make_log
from past_log import fill_past, minutes_ago, tell_progress
from ranges import candles, publish, recomputed

from candlewick.recompute.comparison import compare_recomputation
from market.topics import Topics
from market.utc import utc
from processors.candles.config import CandlesConfig
from processors.candles.core import CloseOn, Rules
from processors.candles.worker import run_candles
from processors.engine import worker
from runtime.errors import UsageError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

SCRIPT = Path(__file__).parent / "killed_range.py"


async def test_a_range_in_mid_log_gives_the_same_bytes_out_of_a_piece_of_it(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_us = minutes_ago(300)
    log, _ = make_log(31, minutes=200, start_us=start_us)
    await fill_past(settings, log)
    await tell_progress(settings, log)
    await one_pass(settings)
    live, group = await candles(settings, topics.candles()), await group_offsets(settings, topics.group("candles"))
    from_us, until_us = start_us + 60 * MINUTE, start_us + 80 * MINUTE
    read_batch_by_batch(monkeypatch)

    done = await recomputed(settings, from_us, until_us)
    beside = topics.beside("fix")
    expected = await candles(settings, topics.candles(), from_us, until_us)
    assert await candles(settings, beside.candles()) == expected
    assert (done.is_final, done.candles, done.of_runs, done.markets) == (True, len(expected), 0, 3)
    assert len(expected) >= 60
    assert done.records < len(log.records) / 2  # 20 minutes before, 20 in it, 10 of allowed lateness, of 200
    assert await candles(settings, topics.candles()) == live
    assert await group_offsets(settings, topics.group("candles")) == group
    comparison = await compare_recomputation(settings, "fix")
    assert (comparison.right, comparison.same, comparison.later) == (True, len(expected), 0)

    with pytest.raises(UsageError, match=r"is the recomputation of .*: say the same again to go on"):
        await recomputed(settings, from_us, until_us + MINUTE)
    assert (await recomputed(settings, from_us, until_us)).candles == done.candles


async def test_a_topic_without_markers_is_recomputed_by_its_own_rules(settings: Settings, topics: Topics) -> None:
    start_us = minutes_ago(300)
    log, _ = make_log(36, minutes=200, runs=False, start_us=start_us)
    await fill_past(
        settings, Log(records=[record for record in log.records if record.value and len(record.value) > 60])
    )
    rules = Rules(close_on=CloseOn.EVENT_TIME, grace_us=5_000_000)
    await asyncio.wait_for(run_candles(settings, CandlesConfig(rules=rules, once=True), asyncio.Event()), 60)
    from_us, until_us = start_us + 60 * MINUTE, start_us + 90 * MINUTE
    done = await recomputed(settings, from_us, until_us, rules=rules, lead_s=1800)
    assert (done.is_final, done.markets, done.begun_within) == (True, 3, 0)
    assert await candles(settings, topics.beside("fix").candles()) == await candles(
        settings, topics.candles(), from_us, until_us
    )
    assert (await compare_recomputation(settings, "fix")).same > 80
    with pytest.raises(UsageError, match=r"closed on event-time, grace 5 s, revision base 0"):
        await recomputed(settings, from_us, until_us, lead_s=1800)


async def test_what_differs_is_found_and_named(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(33, runs=True)
    await fill(settings, log)
    await one_pass(settings)
    await recomputed(settings, START, START + 20 * MINUTE)
    good = await read_all(settings, topics.candles())
    inside = [one for one in good if _open_us(one.value) in range(START, START + 20 * MINUTE)]
    changed, added, lost = inside[3], inside[5], inside[7]
    await publish(
        settings, topics.candles(), changed.partition, changed.key, (changed.value or b"").replace(b'"1m"', b'"1M"')
    )
    await publish(settings, topics.candles(), added.partition, added.key, _other_minute(added.value, START + MINUTE))
    beside = topics.beside("fix")
    await publish(settings, beside.candles(), lost.partition, lost.key, _revised(lost.value, 10**6))
    await publish(settings, topics.candles(), lost.partition, lost.key, lost.value)  # again, as a replay would

    comparison = await compare_recomputation(settings, "fix")
    assert {kind.value: count for kind, count in comparison.counts.items()} == {
        "only live": 1, "only recomputed": 1, "different": 1, "out of order": 0
    }  # fmt: skip
    assert (comparison.right, comparison.same, comparison.repeated) == (False, len(inside), 1)
    assert all((one.key or b"").decode() in " ".join(comparison.named) for one in (changed, added, lost))


def _open_us(value: bytes | None) -> int:
    return int(orjson.loads(value or b"")["open_time_ms"]) * 1000


def _other_minute(value: bytes | None, open_us: int) -> bytes:
    return orjson.dumps(orjson.loads(value or b"") | {"open_time_ms": open_us // 1000})


def _revised(value: bytes | None, revision: int) -> bytes:
    return orjson.dumps(orjson.loads(value or b"") | {"revision": revision})


async def test_a_log_that_no_longer_reaches_back_says_from_which_minute_on(settings: Settings, topics: Topics) -> None:
    start_us = minutes_ago(100)
    log, _ = make_log(34, minutes=60, runs=False, start_us=start_us)
    await fill_past(settings, log)
    await one_pass(settings)
    delete_records(
        settings,
        topics.trades,
        {partition: 100 for _, partition in await group_offsets(settings, topics.group("candles"))},
    )
    records = await read_all(settings, topics.trades)
    first_ms = max(min(r.timestamp for r in records if r.partition == at) for at in {r.partition for r in records})
    possible_us = -(-(first_ms + 120_000) // 60_000) * MINUTE
    with pytest.raises(UsageError, match=f"no longer reaches back .* can be recomputed from {utc(possible_us)} on"):
        await recomputed(settings, possible_us - MINUTE, possible_us + 10 * MINUTE)
    assert (await recomputed(settings, possible_us, possible_us + 10 * MINUTE)).candles > 0
    assert not (await compare_recomputation(settings, "fix")).counts["different"]


@pytest.mark.timeout(600)
async def test_killed_at_every_step_a_recomputation_goes_on_where_it_was(
    settings: Settings, topics: Topics, environment: dict[str, str]
) -> None:
    rng = random.Random(35)
    log, _ = make_log(35, minutes=400)
    await fill_in_batches(settings, log)
    await one_pass(settings)
    words = ["--from", utc(START), "--until", utc(START + 390 * MINUTE), "--into", "fix"]
    killed = 0
    for step in rng.sample(list(STEPS), len(STEPS)):
        command = [sys.executable, str(SCRIPT), step, str(rng.choice((1, 2, 6))), *words]
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
        killed += await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    assert killed > len(STEPS) / 2
    assert await (await Process.start(environment, *words)).wait() == 0
    expected = await candles(settings, topics.candles(), START, START + 390 * MINUTE)
    assert await candles(settings, topics.beside("fix").candles()) == expected
    assert len(expected) > 1000
    assert (await compare_recomputation(settings, "fix")).right


async def test_an_interrupted_recomputation_goes_on_where_it_was(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = make_log(32, minutes=100)
    await fill_in_batches(settings, log)
    await one_pass(settings)
    read_batch_by_batch(monkeypatch)
    until_us, beside = START + 90 * MINUTE, topics.beside("fix")
    stop = asyncio.Event()
    first = asyncio.create_task(recomputed(settings, START, until_us, stop=stop))
    await eventually(lambda: _begun(settings, beside), every_s=0.01)
    stop.set()
    assert not (await first).is_final
    with pytest.raises(UsageError, match="not whole yet"):
        await compare_recomputation(settings, "fix")
    assert (await recomputed(settings, START, until_us)).is_final
    assert await candles(settings, beside.candles()) == await candles(settings, topics.candles(), START, until_us)
    assert (await compare_recomputation(settings, "fix")).right


def read_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_BATCHES", 1)
    monkeypatch.setattr(worker, "COMMITTING_BATCHES", 1)


async def _begun(settings: Settings, beside: Topics) -> bool:
    return bool(await group_offsets(settings, beside.group("candles"))) and bool(
        await read_all(settings, beside.candles())
    )
