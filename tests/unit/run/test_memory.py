"""What a data folder remembers of its runs, and what a run may ask for."""

from dataclasses import replace
from pathlib import Path

import pytest

from candlewick.pipeline.memory import SimulatedMarket, begin_run, recall, remember
from candlewick.pipeline.plan import RunPlan, parse_kills
from candlewick.pipeline.symbols import (
    exchange_markets,
    exchange_symbols,
    name_for_producer,
    simulated_markets,
    simulated_symbols,
)
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.errors import UnavailableError, UsageError
from runtime.settings import load_settings

PLAN = RunPlan(markets={"binance": ("BTCUSDT",)}, seed=5)
NOW_US = 1_764_345_600_000_000  # 2025-11-28 16:00 UTC


def test_a_first_run_without_faults_is_undisturbed_and_a_second_is_not(tmp_path: Path) -> None:
    first = SimulatedMarket(seed=5, markets={"binance": ("BTCUSDT",)}, disturbed=False)
    assert begin_run(tmp_path, PLAN, now_us=NOW_US) == first
    assert begin_run(tmp_path, PLAN, now_us=NOW_US).disturbed


@pytest.mark.parametrize("plan", [replace(PLAN, faults=("skip=0.1",)), replace(PLAN, kills={"candles": 1.0})])
def test_faults_and_kills_disturb(tmp_path: Path, plan: RunPlan) -> None:
    assert begin_run(tmp_path, plan, now_us=NOW_US).disturbed


def test_symbols_seed_and_what_the_simulator_remembers_are_kept_over_runs(tmp_path: Path) -> None:
    remember(tmp_path, replace(begin_run(tmp_path, PLAN, now_us=NOW_US), simulator=("withheld:BTCUSDT:7-9",)))
    second = RunPlan(markets={"kraken": ("SOLUSDT", "BTCUSDT"), "binance": ("ETHUSDT",)})
    market = begin_run(tmp_path, second, now_us=NOW_US)
    assert market.markets == {"binance": ("BTCUSDT", "ETHUSDT"), "kraken": ("SOLUSDT", "BTCUSDT")}
    assert market.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert (market.seed, market.simulator) == (5, ("withheld:BTCUSDT:7-9",))
    assert recall(tmp_path) == market


def test_what_an_older_version_wrote_down_is_still_known(tmp_path: Path) -> None:
    text = '{"seed": 5, "symbols": ["BTCUSDT"], "withheld": ["BTCUSDT:7-9"], "disturbed": true}'
    (tmp_path / "run.json").write_text(text)
    assert recall(tmp_path) == SimulatedMarket(
        seed=5, markets={"binance": ("BTCUSDT",)}, simulator=("withheld:BTCUSDT:7-9",), disturbed=True
    )


def test_another_seed_on_the_same_data_is_a_usage_error(tmp_path: Path) -> None:
    begin_run(tmp_path, PLAN, now_us=NOW_US)
    with pytest.raises(UsageError, match="candlewick stack reset"):
        begin_run(tmp_path, replace(PLAN, seed=6), now_us=NOW_US)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"seed": 1}', '{"seed": 1, "markets": []}', '{"seed": 1, "symbols": 3, "withheld": []}']
)
def test_a_broken_memory_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="broken"):
        recall(tmp_path)


def test_market_time_does_not_go_back_behind_what_the_data_reach(tmp_path: Path) -> None:
    remember(tmp_path, replace(begin_run(tmp_path, PLAN, now_us=NOW_US), reached_us=NOW_US - 3_600_000_000))
    assert (
        begin_run(tmp_path, replace(PLAN, market_start_s=1_800.0), now_us=NOW_US).reached_us == NOW_US - 3_600_000_000
    )
    with pytest.raises(
        UsageError,
        match=r"--market-start means 2025-11-28 13:00 UTC.*reach to 2025-11-28 15:00 UTC already, 2h 00m later",
    ):
        begin_run(tmp_path, replace(PLAN, market_start_s=10_800.0), now_us=NOW_US)


def test_kills_name_stages() -> None:
    assert parse_kills(("candles=20", "sink.redis=1.5")) == {"candles": 20.0, "sink.redis": 1.5}
    for wrong in ("simulate=5", "candles", "candles=0", "candles=x"):
        with pytest.raises(UsageError, match="STAGE=SECONDS"):
            parse_kills((wrong,))


def test_signals_are_a_stage_only_where_they_are_asked_for() -> None:
    assert RunPlan(signals=True).processors == ("candles", "rolling", "signals")
    assert "signals" not in RunPlan().processors
    assert parse_kills(("signals=5",), signals=True) == {"signals": 5.0}
    with pytest.raises(UsageError, match="STAGE one of"):
        parse_kills(("signals=5",))


def test_bars_are_a_stage_only_where_they_are_asked_for() -> None:
    assert RunPlan(bars=Path("bars.toml"), signals=True).processors == ("candles", "rolling", "bars", "signals")
    assert "bars" not in RunPlan().processors
    assert parse_kills(("bars=5",), bars=True) == {"bars": 5.0}
    with pytest.raises(UsageError, match="STAGE one of"):
        parse_kills(("bars=5",))


def test_symbols_of_the_simulator_are_named_or_counted() -> None:
    assert simulated_symbols("2") == ("BTCUSDT", "ETHUSDT")
    assert simulated_symbols("xrpeth,LTC-USDT") == ("XRPETH", "LTCUSDT")
    assert len(simulated_symbols("200")) == 200
    assert simulated_symbols(simulated_symbols("200")[-1]) == ("SIM0200USDT",)


@pytest.mark.parametrize(("text", "hint"), [("BTCUSTD", "such as BTCUSDT"), ("DOGEEUSDT", "did you mean DOGEUSDT")])
def test_a_symbol_that_the_simulator_does_not_list_is_refused_with_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        simulated_symbols(f"ETHUSDT,{text}")


def test_every_simulated_exchange_has_the_symbols_under_its_own_names() -> None:
    assert simulated_markets("kraken, bybit-linear,kraken", "ETH-USDT") == {
        "kraken": ("ETHUSDT",), "bybit-linear": ("ETHUSDT",),
    }  # fmt: skip
    assert name_for_producer("kraken", "XRPETH") == "XRP-ETH"
    assert name_for_producer("bybit-linear", "XRPETH") == "XRP-ETH-PERP"
    for exchanges, sentence in ((",", "names no exchange"), ("binance,ftx", "does not speak for 'ftx': choose from b")):
        with pytest.raises(UsageError, match=sentence):
            simulated_markets(exchanges, None)


def test_one_exchange_has_the_producer_and_each_of_several_has_its_own() -> None:
    assert PLAN.producers == {"produce": "binance"}
    several = RunPlan(markets={"binance": (), "okx": ()})
    assert several.producers == {"produce.binance": "binance", "produce.okx": "okx"}


async def test_symbols_of_a_real_exchange_are_asked_for_at_the_exchange() -> None:
    nowhere = load_settings(binance_rest="http://127.0.0.1:1")
    for exchange, text, error, sentence in (
        ("binance", None, UsageError, "say which symbols of binance"),
        ("binance", "20", UsageError, "say which symbols of binance"),
        ("nowhere", "BTCUSDT", UsageError, "no exchange 'nowhere'"),
        ("binance", "BTCUSDT", UnavailableError, "127.0.0.1:1 does not answer"),
    ):
        with pytest.raises(error, match=sentence):
            await exchange_symbols(nowhere, exchange, text)


async def test_each_of_several_exchanges_is_asked_for_the_symbols_and_names_them_itself() -> None:
    async with serving(SimulatorSettings(symbols=("BTCUSDT",), port=0)) as (_, address):
        settings = load_settings(kraken_rest=address, okx_rest=address)
        markets = await exchange_markets(settings, "kraken,okx", "BTC-USDT")
        assert markets == {"kraken": ("BTC/USDT",), "okx": ("BTC-USDT",)}
        with pytest.raises(UsageError, match="ETH-USDT"):
            await exchange_markets(settings, "kraken,okx", "BTC-USDT,ETH-USDT")
