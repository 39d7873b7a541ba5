"""Each sink, killed a hundred times on its way through one log: the store holds what the log says, each once."""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from candle_engine import Place, fill_in_batches, one_pass, read_all, source_of
from holdings import TARGETS, Held
from kafka_commands import delete_all_topics
from kill_points import came_to_its_point
from killed_sink import FILE_RECORDS, ONCE_A_LIFE, SINKS, steps
from logged import Logged, read_log
from market_log import Log, make_log, publish_again
from msgspec import structs
from pydantic import SecretStr

from market.codec import decode_trade, encode_trade
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment

SCRIPT = Path(__file__).parent / "killed_sink.py"
KILLS = int(os.environ.get("KILLS", "100"))
KEYS = [f"sim:K{number}-USD" for number in range(12)]
MINUTES = 480
SEED = 21
OCCURRENCES = (1, 1, 2, 3, 5, 8, 13)
LIFE_S = 25.0
"""By then a sink that does not come to its step is killed where it is."""


@pytest.fixture(scope="module")
def filled(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Logged]]:
    """One log for all sinks: feeds that die and repeat themselves, runs, poison; and the engine's candles of it."""
    cold = tmp_path_factory.mktemp("cold")
    name = "sinkkills"
    settings = stack.model_copy(update={"prefix": f"{name}.", "clickhouse_database": name, "cold": cold.as_uri()})

    async def fill() -> Logged:
        assert await apply_topics(settings) == []
        await fill_in_batches(settings, sink_log(), 40)
        await one_pass(settings)
        return await read_log(settings)

    yield settings, asyncio.run(fill())
    delete_all_topics(settings)


def sink_log() -> Log:
    """Every copy of a trade tells another time of receipt; runs publish some minutes again, some of them twice."""
    rng = random.Random(SEED)
    log, truths = make_log(SEED, minutes=MINUTES, runs=False, keys=KEYS)
    log.records = [
        record._replace(value=received_later(record.value, record.offset)) if is_trade(record.value) else record
        for record in log.records
    ]
    for number in range(20):
        key, first = rng.choice(KEYS), rng.randrange(MINUTES - 60)
        publish_again(log, key, truths[key], first_minute=first, minutes=rng.randrange(1, 20), run=f"again-{number}")
    return log


def is_trade(value: bytes | None) -> bool:
    return value is not None and b"trade_id" in value


def received_later(value: bytes, by_us: int) -> bytes:
    trade = decode_trade(value)
    return encode_trade(structs.replace(trade, received_us=trade.received_us + by_us))


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(filled: tuple[Settings, Logged], sink: str, request: pytest.FixtureRequest) -> Settings:
    settings, _ = filled
    if sink != "postgres":
        return settings
    return settings.model_copy(update={"postgres": SecretStr(request.getfixturevalue("postgres_url"))})


@pytest.mark.timeout(1800)
async def test_killed_again_and_again_a_sink_loses_and_doubles_nothing(
    filled: tuple[Settings, Logged], settings: Settings, sink: str
) -> None:
    _, logged = filled
    environment, rng, came = child_environment(settings), random.Random(SEED), Counter[str]()
    names = list(steps(sink))
    chosen = rng.sample([names[n % len(names)] for n in range(KILLS)], KILLS)
    began_s = time.monotonic()
    for step in chosen:
        occurrence = 1 if step in ONCE_A_LIFE else rng.choice(OCCURRENCES)
        words = [sink, step, str(occurrence), str(rng.randrange(25))]
        came[step] += await came_to_its_point(environment, SCRIPT, words, within_s=LIFE_S)
    killed_s = time.monotonic() - began_s
    await finish(sink, environment)
    held = await TARGETS[sink].held(settings)
    told = f"{held.rows or len(held.trades) + len(held.candles):,} rows, {len(logged.malformed)} dead letters"
    print(f"\n{sink}: {KILLS} kills in {killed_s:.0f} s, {came.total()} of them at their step; {told}")  # noqa: T201  # seen with -s
    assert_equal(held, logged.hot() if sink == "redis" else logged.whole())
    assert await dead_letters_of(settings, sink) == sorted(logged.malformed)
    assert came.total() > KILLS / 2, came  # the rest is killed where it happens to be


async def finish(sink: str, environment: dict[str, str]) -> None:
    """On to the end, by the command as people have it."""
    more = ["--file-records", str(FILE_RECORDS)] if sink == "parquet" else []
    command = [sys.executable, "-m", "candlewick", "sink", sink, "--once", "--instance-id", "one", *more]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, told = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, told.decode()[-2000:]


def assert_equal(held: Held, wanted: Held) -> None:
    assert held.trades == wanted.trades
    assert held.candles == wanted.candles
    if held.places is not None:
        assert held.places == wanted.places, "a record is missing, or is in two files"


async def dead_letters_of(settings: Settings, sink: str) -> list[Place]:
    """What this sink refused: each sink says for itself what its store cannot hold."""
    letters = await read_all(settings, settings.topics.dead_letters(settings.topics.trades))
    group = settings.topics.group(f"sink.{sink}").encode()
    return sorted(source_of(letter) for letter in letters if dict(letter.headers).get("candlewick.group") == group)
