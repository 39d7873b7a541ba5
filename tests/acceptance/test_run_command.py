"""``candlewick run`` as a program: the whole pipeline, drained and verified."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from candlewick import cli
from candlewick.verify.spoken import SPOKEN
from runtime.settings import Settings, clickhouse_address, kafka_address, redis_address

ROOT = Path(__file__).parents[2]
VERIFIED = re.compile(
    r"^verified: (\d+) trades, (\d+) candles, \d+ candles of \d+ longer timeframes, \d+ tickers, "
    r"0 missing, 0 duplicate, 0 different$",
    re.MULTILINE,
)


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
        env=dict(environment), check=False, capture_output=True, text=True, timeout=160,
    )  # fmt: skip


def verified(ran: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    summary = VERIFIED.search(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert summary, ran.stdout
    return int(summary[1]), int(summary[2])


@pytest.mark.timeout(240)
def test_runs_are_verified_through_faults_kills_and_a_gap_of_an_hour(
    surroundings: dict[str, str], settings: Settings
) -> None:
    quiet_run = ("run", "--headless", "--symbols", "ETHUSDT,LTCUSDT,XRPETH", "--api-port", "0")
    short = candlewick(surroundings, *quiet_run, "--speed", "1", "--for", "1s", "--market-start", "3h")
    assert "nothing to verify yet: the run was too short" in short.stdout, short.stdout + short.stderr
    assert short.returncode == 0

    run = (*quiet_run, "--speed", "60")
    faults = ("--fault", "drop_every_s=2", "--fault", "duplicate=0.05", "--kill", "candles=3", "--kill", "sink.redis=4")
    first = held_by_a_run(surroundings, *run, "--for", "14s", "--market-start", "2h", *faults)
    trades, candles = verified(first)
    assert "candles died (signal 9), restarted" in first.stdout
    asked = re.search(r"^the API answered (\d+) questions about the same$", first.stdout, re.MULTILINE)
    assert asked, first.stdout
    assert int(asked[1]) >= 3 * 3

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

    for arguments, sentence in (
        (("--seed", "5"), "the simulated market with seed 1"),
        (("--market-start", "2h"), "later"),
    ):
        refused = candlewick(surroundings, "run", "--headless", *arguments)
        assert refused.returncode == 2
        assert sentence in refused.stderr
        assert "candlewick stack reset" in refused.stderr


def held_by_a_run(environment: Mapping[str, str], *run: str) -> subprocess.CompletedProcess[str]:
    """A run to its end. While it is at work the API answers, and its data cannot be taken from it."""
    command = [sys.executable, "-m", "candlewick", *run]
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        line = next(line for line in program.stdout if line.startswith("API at "))
        for words in (("stack", "down"), ("stack", "reset", "--yes")):
            refused = candlewick(environment, *words)
            assert refused.returncode == 1
            assert f"(process {program.pid}) is using" in refused.stderr
            assert "candlewick run --headless" in refused.stderr
        answered_health(line.removeprefix("API at ").split(";")[0])
        rest = program.stdout.read()
    return subprocess.CompletedProcess(command, program.returncode, line + rest, "")


def answered_health(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{address}/v1/health", timeout=5) as response:  # noqa: S310  # our own server
                assert response.status == 200
                return
        except OSError:
            assert time.monotonic() < deadline, "the API does not answer"
            time.sleep(0.1)


def a_run_of(surroundings: dict[str, str], exchanges: str, *arguments: str) -> tuple[int, int]:
    """A run on simulated exchanges whose connections break; verified at its end, and again from the data folder."""
    run = ("run", "--headless", "--symbols", "ETHUSDT,LTC-USDT,XRPETH", "--api-port", "0", "--simulate", exchanges)
    ran = candlewick(surroundings, *run, "--fault", "drop_every_s=5", *arguments)
    trades, candles = verified(ran)
    assert "lost by the source" not in ran.stdout or "none of them complete" in ran.stdout
    assert verified(candlewick(surroundings, "verify")) == (trades, candles)
    return trades, candles


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_exchanges_in_one_run_are_verified_though_the_ids_of_one_prove_nothing(
    surroundings: dict[str, str],
) -> None:
    trades, candles = a_run_of(surroundings, "kraken,bybit", "--speed", "30", "--for", "20s")
    assert trades > 100
    assert candles >= 2 * 3
    status = json.loads(candlewick(surroundings, "status", "--json").stdout)
    symbols = ("ETH-USDT", "LTC-USDT", "XRP-ETH")
    assert sorted(status["complete_until_us"]) == [f"{name}:{each}" for name in ("bybit", "kraken") for each in symbols]


@pytest.mark.long
@pytest.mark.timeout(360)
@pytest.mark.parametrize("exchange", [*SPOKEN, "binance,binance-usdm,coinbase,okx,bybit-linear"])
def test_every_exchange_is_verified_through_lost_connections_and_kills(
    surroundings: dict[str, str], exchange: str
) -> None:
    kills = ("--kill", "produce=20", "--kill", "candles=11")
    if (
        exchange in SPOKEN and SPOKEN[exchange].best == "connected"
    ):  # what is lost is lost at once: klines need not wait
        surroundings |= {"CANDLEWICK_FILL_TIMEOUT_S": "3"}
    trades, candles = a_run_of(surroundings, exchange, "--speed", "10", "--for", "45s", *kills)
    assert trades > 100
    assert candles >= 3 * 3


@pytest.mark.long
def test_a_source_that_is_wrong_costs_no_false_claim_and_what_it_lost_is_told(surroundings: dict[str, str]) -> None:
    """Whether a minute says `hole` without need depends on the moment: the long suite asks for none."""
    faults = (
        "short_history=30 drop_every_s=5 drop_for_s=2 skip=0.003 zero=0.002 absurd_time=0.001 disordered=0.2 "
        "repeated=0.2 jump_every_s=1 lack_every_s=1 spoil_every_s=4 clock_every_s=2"
    )
    run = (
        "run",
        "--headless",
        "--speed",
        "60",
        "--symbols",
        "ETHUSDT,LTCUSDT,XRPETH",
        "--for",
        "35s",
        "--api-port",
        "0",
    )
    patience = {"CANDLEWICK_FILL_TIMEOUT_S": "3"}
    ran = candlewick(surroundings | patience, *run, *(word for fault in faults.split() for word in ("--fault", fault)))
    assert re.search(
        r"^lost by the source: [\d,]+ trades? in \d+ minutes?, none of them complete$", ran.stdout, re.MULTILINE
    ), ran.stdout + ran.stderr
    assert re.search(
        r"verified: \d+ trades, \d+ candles, .* 0 missing, 0 duplicate, \d+ different$", ran.stdout.strip()
    )
    differences = re.findall(r"^ +different: (.*)$", ran.stdout, re.MULTILINE)
    assert [text for text in differences if not text.endswith("status is 'hole', not complete")] == []


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
    assert ran.stderr.startswith("candlewick: another candlewick run is using")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--for", "banana"), "--for is 'banana': give a time span such as 90s, 2m or 1h"),
        (("--symbols", "DOGEEUSDT"), "did you mean DOGEUSDT"),
        (("--kill", "sunk=5"), "--kill sunk=5: it has to be STAGE=SECONDS"),
        (("--exchange", "binance"), "say which symbols of binance"),
        (("--simulate", ","), "names no exchange"),
        (("--simulate", "bitstamp"), "the simulator does not speak for 'bitstamp': choose from binance, binance-usdm"),
        (("--simulate", "okx", "--exchange", "okx"), "give one of the two"),
        (("--simulate", "okx,kraken", "--fault", "lack_every_s=3"), "--fault lack_every_s is for one exchange"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("CANDLEWICK_HOME", str(tmp_path / "home"))
    assert cli.main(["run", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
