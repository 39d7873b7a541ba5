"""The candle engine in a simulated world: whatever goes wrong, each candle once, the same bytes, and on to the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from seeds import FOUND
from world import simulate

HERE = Path(__file__).parent
PARTS, SEEDS_A_PART = 8, 25


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_violates_anything(part: int) -> None:
    for seed in range(part * SEEDS_A_PART, (part + 1) * SEEDS_A_PART):
        outcome = simulate(seed)
        assert not outcome.violations, outcome


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_stays_mended(seed: int) -> None:
    outcome = simulate(seed)
    assert not outcome.violations, outcome


def test_a_seed_is_the_same_run_in_any_process() -> None:
    ours = [f"{seed} {simulate(seed).digest}" for seed in range(3)]
    assert [f"{seed} {simulate(seed).digest}" for seed in range(3)] == ours
    for hashes in ("1",):
        command = [sys.executable, str(HERE / "simulate.py"), "--digests", "-n", "3"]
        other = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": hashes}, capture_output=True, text=True, check=True
        )
        assert other.stdout.splitlines() == ours
