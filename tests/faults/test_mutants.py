"""The simulation sees every mutant of the engine, and soon: what it says of the engine is worth so much."""

import subprocess
import sys

import mutants
import pytest


@pytest.mark.parametrize("name", mutants.MUTANTS | mutants.IMPORT_MUTANTS)
def test_a_mutant_is_seen(name: str) -> None:
    ended = subprocess.run([sys.executable, mutants.__file__, name], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
