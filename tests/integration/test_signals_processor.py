"""The signals processor on a real Kafka: the same signals over kills, restarts, two processes and bad records."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from many_markets import MINUTE_MS, PARTITIONS, candle
from signal_processes import (
    MARKETS,
    RULES_TOML,
    START,
    SignalProcesses,
    by_key,
    expected,
    feed,
    has_records,
    made_markets,
    records_of,
    tells,
    told,
)

from market.codec import decode_signal, header
from market.partition import partition_of
from market.signal import SignalState
from market.topics import Topics
from runtime.kafka import Outgoing
from runtime.kafka.admin import committed_offsets, topic_id
from runtime.settings import Settings


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[SignalProcesses]:
    (tmp_path / "rules.toml").write_text(RULES_TOML)
    started = SignalProcesses(environment, tmp_path / "rules.toml")
    yield started
    started.stop()


async def test_it_tells_over_kills_and_restarts_what_one_reading_tells(
    settings: Settings, topics: Topics, processes: SignalProcesses
) -> None:
    markets, at = made_markets()
    await feed(settings, markets, range(START, START + 100))
    running = processes.start("--instance-id", "signals-0")
    await eventually(lambda: has_records(settings, topics.signals), timeout_s=60)
    for number in range(100, 160, 12):
        await feed(settings, markets, range(START + number, START + number + 12))
        if at.random() < 0.8:
            await asyncio.sleep(at.random())  # a kill may come anywhere
            processes.kill(running)
            running = processes.start("--instance-id", "signals-0")
    processes.kill(running)
    poison = Outgoing(MARKETS[0].encode(), b"{", (("from", b"test"),), partition_of(MARKETS[0].encode(), PARTITIONS))
    ahead_ms = 4_000_000_000_000 // MINUTE_MS
    ahead = Outgoing(MARKETS[0].encode(), candle(MARKETS[0], ahead_ms, 1, 1, 1), (), poison.partition)
    await feed(settings, markets, range(START + 160, START + 170), poison, ahead)
    assert processes.start("--once", "--instance-id", "signals-0").wait(90) == 0
    values, right = await told(settings), await expected(settings)
    assert processes.start("--once", "--instance-id", "signals-0").wait(90) == 0
    assert len(await told(settings)) == len(values), "there was nothing new"
    assert by_key(values) == by_key(right)
    kinds = {(decode_signal(value).kind, decode_signal(value).state) for value in right}
    assert {("volume_zscore", SignalState.BEGIN), ("spread", SignalState.END)} <= kinds
    letters = await records_of(settings, topics.dead_letters(topics.candles()))
    assert {letter.value for letter in letters} == {poison.value, ahead.value}
    assert {header(letter.headers, "candlewick.group") for letter in letters} == {topics.group("signals").encode()}
    committed = await committed_offsets(settings, topics.group("signals"))
    assert {offset.metadata.topic_id for offset in committed.values()} == {await topic_id(settings, topics.candles())}


@pytest.mark.usefixtures("topics")
async def test_a_replay_tells_the_same_bytes(settings: Settings, processes: SignalProcesses) -> None:
    markets, _ = made_markets()
    await feed(settings, markets, range(START, START + 120))
    assert processes.start("--once").wait(90) == 0
    first = by_key(await told(settings))
    assert first == by_key(await expected(settings))
    assert processes.start("--once", "--from-start").wait(90) == 0
    assert by_key(await told(settings), once=False) == {key: [*values, *values] for key, values in first.items()}


@pytest.mark.long
@pytest.mark.usefixtures("topics")
async def test_a_second_process_waits_and_takes_over(settings: Settings, processes: SignalProcesses) -> None:
    markets, _ = made_markets()
    await feed(settings, markets, range(START, START + 70))
    first = START + 70
    for number in range(2):
        for name in range(2 - number):
            processes.start("--instance-id", f"signals-{number}-{name}")
        await feed(settings, markets, range(first, first + 10))
        await eventually(lambda end=first + 7: tells(settings, end), timeout_s=60)
        processes.kill(processes.running[0])
        first += 10
        await feed(settings, markets, range(first, first + 10))
        await eventually(lambda end=first + 4: tells(settings, end), timeout_s=60)
        first += 10
    processes.stop()
    values, right = by_key(await told(settings)), by_key(await expected(settings))
    assert {key: of_key[: len(values.get(key, []))] for key, of_key in right.items()} == values
