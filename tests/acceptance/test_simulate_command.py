"""``candlewick simulate`` as a program."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from candlewick import cli
from producers.simulator.faults import Faults

COMMAND = [sys.executable, "-m", "candlewick", "simulate"]


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    started = subprocess.Popen(
        [*COMMAND, "--port", "0", "--symbols", "BTCUSDT,XRPETH", "--speed", "60", "--fault", "drop_every_s=60"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    with started:
        yield started, json.loads(started.stderr.readline())["address"]
        started.kill()


def test_it_serves_until_it_is_told_to_stop(simulator: tuple[subprocess.Popen[str], str]) -> None:
    program, address = simulator
    with urllib.request.urlopen(address + "/sim/now") as response:  # noqa: S310  # our own server
        now = json.load(response)
    assert (now["symbols"], now["speed"], now["seed"]) == (["BTCUSDT", "XRPETH"], 60.0, 1)
    program.send_signal(signal.SIGTERM)
    assert program.wait(10) == 0


def test_a_port_in_use_is_one_sentence_and_exit_code_2(simulator: tuple[subprocess.Popen[str], str]) -> None:
    _, address = simulator
    port = address.rsplit(":", 1)[1]
    ran = subprocess.run([*COMMAND, "--port", port], check=False, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 2
    assert port in ran.stderr
    assert "--port" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_help_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--help"]) == 0
    told = capsys.readouterr().out
    assert [field.name for field in fields(Faults) if field.name not in told] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "0"],
        ["--symbols", "nope"],
        ["--fault", "skip"],
        ["--fault", "skip=2"],
        ["--symbols", "BTCUSDT", "--recording", "none.csv"],
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--port", "0", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("candlewick: ")
    assert told.count("\n") == 1
