"""What a data folder remembers of its runs, and what a run may ask for."""

from dataclasses import replace
from pathlib import Path

import pytest

from candlewick.pipeline.memory import SimulatedMarket, begin_run, recall, remember
from candlewick.pipeline.plan import RunPlan, chosen_symbols, parse_kills
from runtime.errors import UsageError

PLAN = RunPlan(symbols=("BTCUSDT",), seed=5)


def test_a_first_run_without_faults_is_undisturbed_and_a_second_is_not(tmp_path: Path) -> None:
    assert begin_run(tmp_path, PLAN) == SimulatedMarket(seed=5, symbols=("BTCUSDT",), disturbed=False)
    assert begin_run(tmp_path, PLAN).disturbed


@pytest.mark.parametrize("plan", [replace(PLAN, faults=("skip=0.1",)), replace(PLAN, kills={"candles": 1.0})])
def test_faults_and_kills_disturb(tmp_path: Path, plan: RunPlan) -> None:
    assert begin_run(tmp_path, plan).disturbed


def test_symbols_seed_and_what_the_simulator_remembers_are_kept_over_runs(tmp_path: Path) -> None:
    remember(tmp_path, replace(begin_run(tmp_path, PLAN), simulator=("withheld:BTCUSDT:7-9",)))
    market = begin_run(tmp_path, RunPlan(symbols=("ETHUSDT",)))
    assert (market.seed, market.symbols, market.simulator) == (5, ("BTCUSDT", "ETHUSDT"), ("withheld:BTCUSDT:7-9",))
    assert recall(tmp_path) == market


def test_what_an_older_version_wrote_down_is_still_known(tmp_path: Path) -> None:
    text = '{"seed": 5, "symbols": ["BTCUSDT"], "withheld": ["BTCUSDT:7-9"], "disturbed": true}'
    (tmp_path / "run.json").write_text(text)
    assert recall(tmp_path) == SimulatedMarket(
        seed=5, symbols=("BTCUSDT",), simulator=("withheld:BTCUSDT:7-9",), disturbed=True
    )


def test_another_seed_on_the_same_data_is_a_usage_error(tmp_path: Path) -> None:
    begin_run(tmp_path, PLAN)
    with pytest.raises(UsageError, match="candlewick stack reset"):
        begin_run(tmp_path, replace(PLAN, seed=6))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"seed": 1, "symbols": 3, "withheld": []}'])
def test_a_broken_memory_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="broken"):
        recall(tmp_path)


def test_kills_name_stages() -> None:
    assert parse_kills(("candles=20", "sink.redis=1.5")) == {"candles": 20.0, "sink.redis": 1.5}
    for wrong in ("simulate=5", "candles", "candles=0", "candles=x"):
        with pytest.raises(UsageError, match="STAGE=SECONDS"):
            parse_kills((wrong,))


def test_symbols_by_number_are_the_simulators_only() -> None:
    assert chosen_symbols("2", None) == ("BTCUSDT", "ETHUSDT")
    assert chosen_symbols("xrpeth,ltcusdt", None) == ("XRPETH", "LTCUSDT")
    with pytest.raises(UsageError, match="which symbols"):
        chosen_symbols(None, "binance")
