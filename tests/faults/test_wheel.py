"""A wheel as a user installs it: without extras, into an empty environment, used in a folder with a `market.py`."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.settings import Settings, clickhouse_address, kafka_address, redis_address

ROOT = Path(__file__).parents[2]
VERIFIED = re.compile(
    r"^verified: \d+ trades, \d+ candles, \d+ candles of \d+ longer timeframes, \d+ tickers, "
    r"0 missing, 0 duplicate, 0 different$",
    re.MULTILINE,
)


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a wheel that was built from this clone, in an environment of its own."""
    work = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(work), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = work.glob("candlewick-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
    install = [str(work / "venv/bin/python"), "-m", "pip", "install", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True)
    return work / "venv" / "bin" / "candlewick"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "market.py").write_text("raise SystemExit('the wrong module')\n")
    return tmp_path


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_it_answers_and_without_the_local_stack_it_says_so_and_leaves_nothing(installed: Path, folder: Path) -> None:
    cache = {"CANDLEWICK_CACHE": str(folder / "cache")}
    for words in (["--help"], ["settings"]):
        assert run([str(installed), *words], folder, plain_environment()).returncode == 0
    for words in (["stack", "up"], ["run", "--headless", "--for", "5s"]):
        failed = run([str(installed), *words], folder, plain_environment() | cache)
        assert failed.returncode == 1
        assert "install candlewick[local]" in failed.stderr
        assert [path.name for path in folder.iterdir()] == ["market.py"]


@pytest.mark.timeout(1_200)
def test_all_its_stages_run_against_real_servers(
    installed: Path, folder: Path, settings: Settings, environment: Mapping[str, str]
) -> None:
    servers = {
        "CANDLEWICK_HOME": str(folder / "home"),
        "CANDLEWICK_KAFKA": kafka_address(settings),
        "CANDLEWICK_REDIS": redis_address(settings),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(settings),
    }
    given = {name: value for name, value in environment.items() if name != "PYTHONPATH"} | servers
    words = ["run", "--headless", "--for", "40s", "--speed", "60", "--symbols", "BTCUSDT,ETHUSDT", "--api-port", "0"]
    ran = run([str(installed), *words], folder, given)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert VERIFIED.search(ran.stdout), ran.stdout
