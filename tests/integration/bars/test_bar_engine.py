"""The bar engine on the real Kafka: each bar once, whatever kills it, and the same bytes in a replay."""

import random
from pathlib import Path

import pytest
from bar_engine import bar_lines, bars_lag, expected_bar_lines, killed_bars, one_bar_pass
from bar_log import FILE
from candle_engine import delete_group, fill, move_group, read_all, source_of
from eventually import eventually
from market_log import Log, make_log

from market.codec import GROUP_HEADER, decode_bar, header
from market.topics import Topics
from processors.bars.thresholds import parse_thresholds
from processors.engine import worker
from processors.engine.start import EngineStartError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

STEPS = ("after taking records in", "after some sends", "before the commit", "after the commit")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bars.toml"
    path.write_text(FILE)
    return path


async def test_one_pass_gives_each_bar_once_and_a_true_lag(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(21)
    await fill(settings, log)
    await one_bar_pass(settings)
    assert sorted(await bar_lines(settings)) == sorted(await expected_bar_lines(settings)) != []
    assert await bars_lag(settings, await group_offsets(settings, topics.group("bars")), topics) == 0
    await one_bar_pass(settings)
    assert len(await bar_lines(settings)) == len(await expected_bar_lines(settings))


async def test_killed_in_the_midst_of_transactions_it_gives_each_bar_once(
    settings: Settings, topics: Topics, environment: dict[str, str], file: Path
) -> None:
    log, _ = make_log(22, minutes=60)
    rng = random.Random(22)
    size = -(-len(log.records) // (len(STEPS) + 1))
    came = 0
    for n, step in enumerate(STEPS):
        await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
        came += await killed_bars(environment, file, step, rng.choice((1, 2)), within_s=10)
    await fill(settings, Log(records=log.records[len(STEPS) * size :]))
    await one_bar_pass(settings)
    assert came >= len(STEPS) - 1
    assert sorted(await bar_lines(settings)) == sorted(await expected_bar_lines(settings))
    dead = [source_of(record) for record in await read_all(settings, topics.dead_letters(topics.trades))]
    assert len(dead) == len(set(dead))


async def test_a_replay_gives_the_same_bytes_whatever_the_batches(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = make_log(23, minutes=40)
    for begin in range(0, len(log.records), 400):  # each a batch of its own at least
        await fill(settings, Log(records=log.records[begin : begin + 400]))
    await one_bar_pass(settings)
    first = await bar_lines(settings)
    for passes, batches in ((2, 1), (3, 1000)):
        monkeypatch.setattr(worker, "POLL_BATCHES", batches)
        move_group(settings, topics.group("bars"), dict.fromkeys(range(settings.partitions), 0))
        await one_bar_pass(settings)
        assert sorted(await bar_lines(settings)) == sorted(first * passes)


async def offsets_of(settings: Settings, partitions: set[int]) -> dict[tuple[str, int], int] | None:
    """None until each has one: the broker tells a transaction's offsets a moment after it is committed."""
    offsets = await group_offsets(settings, settings.topics.group("bars"))
    return dict(offsets) if partitions <= {partition for _, partition in offsets} else None


async def test_another_threshold_begins_anew_and_the_others_go_on_even_if_the_engine_dies_right_then(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    log, _ = make_log(24, runs=False)
    third, file = len(log.records) // 3, tmp_path / "after.toml"
    before = parse_thresholds('["sim:*"]\ntick = [7]\nvolume = ["1"]', "before.toml")
    file.write_text('["sim:*"]\ntick = [7]\ndollar = ["500000"]')
    after = parse_thresholds(file.read_text(), "after.toml")
    await fill(settings, Log(records=log.records[:third]))
    await one_bar_pass(settings, before)
    held = {record.partition for record in log.records[:third]}
    reached = await eventually(lambda: offsets_of(settings, held))
    for part in (log.records[third : 2 * third], log.records[2 * third :]):
        await fill(settings, Log(records=part))
        # What is committed by then was made with the newer file, and the next start has to know that.
        assert await killed_bars(environment, file, "after the commit", 2, within_s=60)
    await one_bar_pass(settings, after)
    bars = [(record.partition, decode_bar(record.value or b"")) for record in await read_all(settings, topics.bars)]
    assert {bar.kind for _, bar in bars} == {"tick", "volume", "dollar"}
    assert all(bar.revision < reached[topics.trades, partition] for partition, bar in bars if bar.kind == "volume")
    wanted = await expected_bar_lines(settings, before, then=after, reached=reached)
    assert sorted(await bar_lines(settings)) == sorted(wanted)


async def test_dead_letters_say_that_the_bars_refused_them(settings: Settings, topics: Topics) -> None:
    log = Log()
    log.append("sim:AAA-USD", b"{")
    log.append("other:AAA-USD", b"{")
    await fill(settings, log)
    await one_bar_pass(settings)
    (dead,) = await read_all(settings, topics.dead_letters(topics.trades))
    assert (dead.key, dead.value) == (b"sim:AAA-USD", b"{")
    assert header(dead.headers, GROUP_HEADER) == topics.group("bars").encode()


async def test_a_group_without_an_offset_starts_only_if_told_where_bars_were_published(
    settings: Settings, topics: Topics
) -> None:

    log, _ = make_log(25, minutes=15)
    await fill(settings, log)
    await one_bar_pass(settings)
    first = await bar_lines(settings)
    assert first
    delete_group(settings, topics.group("bars"))
    with pytest.raises(EngineStartError, match="--from-start"):
        await one_bar_pass(settings)
    await one_bar_pass(settings, from_start=True)
    assert sorted(await bar_lines(settings)) == sorted(first * 2)
