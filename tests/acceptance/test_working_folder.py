"""The program in a folder whose files are called like its packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from candlewick.pipeline.plan import stage
from candlewick.pipeline.stage_names import SIMULATOR, STAGES
from deploy.local import clickhouse

PACKAGES = ("market", "runtime", "producers", "processors", "sinks", "serving", "deploy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    return tmp_path


def ended_well(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", [["--help"], ["settings"]])
def test_the_program_finds_its_own_modules(folder: Path, words: list[str]) -> None:
    ended_well([sys.executable, "-m", "candlewick", *words], folder)


def test_every_stage_finds_its_own_modules(folder: Path) -> None:
    commands = [stage(name, "--help", environment=os.environ).command for name in (SIMULATOR, *STAGES)]
    [started_alike] = {tuple(command[: command.index("candlewick") + 1]) for command in commands}
    ended_well([*started_alike, *commands[-1][len(started_alike) :]], folder)


def test_the_clickhouse_engine_finds_its_own_modules(folder: Path) -> None:
    command = clickhouse.command(folder / "data", 1)
    ended_well([*command[: command.index("--port")], "--help"], folder)
