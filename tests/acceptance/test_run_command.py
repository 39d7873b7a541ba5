"""``candlewick run`` as a program: the whole pipeline, drained and verified."""

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.settings import Settings, clickhouse_address, kafka_address, redis_address

ROOT = Path(__file__).parents[2]
VERIFIED = re.compile(r"^verified: (\d+) trades, (\d+) candles, 0 missing, 0 duplicate, 0 different$", re.MULTILINE)


@pytest.fixture
def surroundings(settings: Settings, environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A data folder of its own on the session's servers."""
    return environment | {
        "CANDLEWICK_HOME": str(tmp_path / "home"),
        "CANDLEWICK_KAFKA": kafka_address(settings),
        "CANDLEWICK_REDIS": redis_address(settings),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(settings),
        "PYTHONPATH": str(ROOT),
    }


def candlewick(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "candlewick", *arguments],
        env=dict(environment), check=False, capture_output=True, text=True, timeout=110,
    )  # fmt: skip


def verified(ran: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    found = VERIFIED.search(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert found, ran.stdout
    return int(found[1]), int(found[2])


def test_runs_are_verified_through_faults_kills_and_a_gap_of_an_hour(
    surroundings: dict[str, str], settings: Settings
) -> None:
    run = ("run", "--headless", "--speed", "60", "--symbols", "ETHUSDT,LTCUSDT,XRPETH")
    faults = ("--fault", "drop_every_s=2", "--fault", "duplicate=0.05", "--kill", "candles=3", "--kill", "sink.redis=4")
    first = candlewick(surroundings, *run, "--for", "14s", "--market-start", "2h", *faults)
    trades, candles = verified(first)
    assert "candles died (signal 9), restarted" in first.stdout

    second = candlewick(surroundings, *run, "--for", "9s", "--market-start", "1h")
    more_trades, more_candles = verified(second)
    assert more_candles - candles >= 3 * 30
    assert more_trades > trades

    again = candlewick(surroundings, "verify")
    assert verified(again) == (more_trades, more_candles)

    status = json.loads(candlewick(surroundings, "status", "--json").stdout)
    assert status["lag_records"]["candles"] == 0
    assert sorted(status["complete_until_us"]) == ["binance:ETH-USDT", "binance:LTC-USDT", "binance:XRP-ETH"]

    an_outside_consumer_prints_the_candles(settings)

    other = candlewick(surroundings, "run", "--headless", "--seed", "5")
    assert other.returncode == 2
    assert "candlewick stack reset" in other.stderr


def test_a_source_that_is_wrong_costs_no_false_claim_and_what_it_lost_is_told(surroundings: dict[str, str]) -> None:
    """Whether a minute says `hole` without need depends on the moment: the long suite asks for none."""
    faults = (
        "short_history=30 drop_every_s=5 drop_for_s=2 skip=0.003 zero=0.002 absurd_time=0.001 disordered=0.2 "
        "repeated=0.2 jump_every_s=1 lack_every_s=1 spoil_every_s=4 clock_every_s=2"
    )
    run = ("run", "--headless", "--speed", "60", "--symbols", "ETHUSDT,LTCUSDT,XRPETH", "--for", "35s")
    patience = {"CANDLEWICK_FILL_TIMEOUT_S": "3"}
    ran = candlewick(surroundings | patience, *run, *(word for one in faults.split() for word in ("--fault", one)))
    assert re.search(
        r"^lost by the source: [\d,]+ trades? in \d+ minutes?, none of them complete$", ran.stdout, re.MULTILINE
    ), ran.stdout + ran.stderr
    assert re.search(r"verified: \d+ trades, \d+ candles, 0 missing, 0 duplicate, \d+ different$", ran.stdout.strip())
    differences = re.findall(r"^ +different: (.*)$", ran.stdout, re.MULTILINE)
    assert [one for one in differences if not one.endswith("status is 'hole', not complete")] == []


def an_outside_consumer_prints_the_candles(settings: Settings) -> None:
    command = [
        sys.executable,
        str(ROOT / "examples/print_candles.py"),
        kafka_address(settings),
        settings.topics.candles(),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as consumer:
        assert consumer.stdout is not None
        symbol, open_ms, close, *_, status = consumer.stdout.readline().split()
        consumer.terminate()
    assert symbol in ("ETH-USDT", "LTC-USDT", "XRP-ETH")
    assert int(open_ms) % 60_000 == 0
    assert float(close) > 0
    assert status == "complete"


def test_a_run_beside_another_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = candlewick({**os.environ, "CANDLEWICK_HOME": str(tmp_path)}, "run", "--headless")
    assert ran.returncode == 1
    assert ran.stderr.startswith("candlewick: another candlewick run")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--for", "banana"), "--for is 'banana': give a time span such as 90s, 2m or 1h"),
        (("--kill", "sunk=5"), "--kill sunk=5: it has to be STAGE=SECONDS"),
        (("--exchange", "binance"), "say which symbols of binance"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_started(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = candlewick({**os.environ, "CANDLEWICK_HOME": str(tmp_path / "home")}, "run", *arguments)
    assert ran.returncode == 2
    assert sentence in ran.stderr
    assert not (tmp_path / "home").exists()
