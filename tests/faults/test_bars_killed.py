"""The bar engine, killed at any step again and again: the same bars, each once."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from bar_engine import assert_each_bar_once, killed_bars, one_bar_pass
from bar_log import FILE
from candle_engine import fill
from killed_candles import STEPS
from market_log import Log, make_log

from runtime.settings import Settings

KILLS = int(os.environ.get("KILLS", "50"))


@pytest.mark.usefixtures("topics")
@pytest.mark.timeout(1200)
async def test_killed_at_every_step_in_a_loop(settings: Settings, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "bars.toml"
    file.write_text(FILE)
    rng = random.Random(31)
    log, _ = make_log(31, minutes=300)
    size = -(-len(log.records) // (KILLS + 1))
    steps = [list(STEPS)[n % len(STEPS)] for n in range(KILLS)]
    rng.shuffle(steps)
    came = Counter[str]()
    for n, step in enumerate(steps):
        await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
        came[step] += await killed_bars(environment, file, step, rng.choice((1, 1, 2, 3)), within_s=rng.uniform(8, 15))
    await fill(settings, Log(records=log.records[KILLS * size :]))
    await one_bar_pass(settings)
    await assert_each_bar_once(settings)
    assert came.total() > KILLS / 2  # the rest is killed where it happens to be
