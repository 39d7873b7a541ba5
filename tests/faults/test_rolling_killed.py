"""Rolling killed again and again, and its partitions dealt out anew: what comes out is what one pass would give."""

import os
import random
import signal
import subprocess

import orjson
import pytest
from rolled import MINUTE, Minute, newest, rolled
from rolling_processor import (
    LAST,
    PARTITIONS,
    SYMBOLS,
    Workers,
    check_tickers,
    feed,
    is_read_to_its_end,
    key_of,
    last_candles,
    minutes_of,
)

from runtime.settings import Settings

KILLS = int(os.environ.get("KILLS", "50"))
REBALANCES = int(os.environ.get("REBALANCES", "20"))
STEP_MINUTES = 9
LISTED, DELISTED = SYMBOLS[-1], SYMBOLS[-2]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"partitions": PARTITIONS})


def killed(worker: subprocess.Popen[bytes], within_s: float) -> None:
    try:
        worker.wait(within_s)
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert worker.returncode == -signal.SIGKILL


def is_traded(symbol: str, number: int) -> bool:
    """One market comes after a third of the steps, another goes after two thirds."""
    return {LISTED: number >= KILLS // 3, DELISTED: number < KILLS * 2 // 3}.get(symbol, True)


@pytest.mark.usefixtures("longer_candles")
@pytest.mark.timeout(3600)
async def test_killed_and_rebalanced_in_a_loop(settings: Settings, environment: dict[str, str]) -> None:
    at = random.Random(17)
    workers = Workers(environment)
    joins = set(at.sample(range(KILLS), min(REBALANCES, KILLS)))
    fed: dict[str, list[Minute]] = {symbol: [] for symbol in SYMBOLS}
    runs: dict[str, list[Minute]] = {symbol: [] for symbol in SYMBOLS}
    for number in range(KILLS):
        step = {
            symbol: minutes_of(symbol, STEP_MINUTES * number, STEP_MINUTES)
            for symbol in SYMBOLS
            if is_traded(symbol, number)
        }
        await feed(settings, step)
        for symbol, records in step.items():
            fed[symbol] += records
        if number % 5 == 3:  # now and then a run corrects what came out long ago
            symbol = at.choice(SYMBOLS)
            run = minutes_of(symbol, at.randrange(-240, 0), 20, seed=number)
            run = [one._replace(value=_later(one, 10**6 * (number + 1))) for one in run]
            await feed(settings, {symbol: run}, run=b"r%d" % number)
            runs[symbol] += run
        worker = workers.start("--instance-id", "rolling-0")
        other = workers.start("--instance-id", "rolling-1") if number in joins else None
        killed(worker, at.uniform(3, 9))
        if other is not None:
            killed(other, at.uniform(0.1, 3))
    workers.running.clear()
    assert workers.start("--once", "--instance-id", "rolling-0").wait(180) == 0
    expected = {key_of(symbol): rolled(newest([*fed[symbol], *runs[symbol]])) for symbol in SYMBOLS}
    assert await last_candles(settings) == expected
    await check_tickers(settings, fed, runs)
    await is_read_to_its_end(settings)
    assert max(one.fields["open_time_ms"] for one in fed[SYMBOLS[0]]) == LAST + (KILLS * STEP_MINUTES - 1) * MINUTE


def _later(one: Minute, revision: int) -> bytes:
    return orjson.dumps(one.fields | {"revision": one.fields["revision"] + revision})
