"""Each protocol on an exchange that fails in every way, with a producer that is killed: what is missing is told.

The truth is the simulator's own record, with the ids that the protocol gives.
"""

import asyncio
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import pytest
from eventually import eventually
from feed_log import MINUTE_US, KeyLog, read_log
from programs import program
from simulator_client import Client, simulator

from market.topics import Topics
from market.trade import Proof
from producers.feed.progress import read_progress
from producers.simulator.faults import Faults
from producers.simulator.instruments import default_symbols, instrument
from runtime.settings import Settings

SYMBOLS = default_symbols(50)
SPEED = 30.0
"""About 1,500 trades a second."""
START_US = 1_740_000_000_000_000
FAULTS = Faults(
    skip=0.0003, duplicate=0.01, reorder=0.003, delay=0.003, drop_every_s=25, drop_for_s=2, stall_every_s=40, stall_s=2,
    rest_429_every_s=30, rest_429_s=1, shutdown_every_s=35, html=0.02, partial=0.2, silent=0.1,
)  # fmt: skip
LIVES, LIFE_S = 3, 15.0
CALM = Faults(duplicate=0.01, reorder=0.003, delay=0.003, drop_every_s=45, drop_for_s=1)
"""Kraken takes one request a second: at thirty times its pace the others are too much for it."""
WITHOUT_IDS = replace(FAULTS, skip=0, reorder=0, delay=0, silent=0, partial=0)
"""Bybit's ids do not show what is left out, nor what was delayed for 15 s of the market when the connection broke.

A silence is looked into after 15 s, which are over seven minutes here; a producer that is killed before tells nobody.
"""
CASES = [
    *((name, FAULTS, Proof.IDS, 0.9) for name in ("binance", "binance-usdm", "coinbase", "okx")),
    ("kraken", CALM, Proof.IDS, 0.9),
    ("bybit-linear", WITHOUT_IDS, Proof.CONNECTION, 0.5),
    ("bybit", WITHOUT_IDS, Proof.CONNECTION, 0.3),
]
"""The proof that minutes have, and the least share of them."""


def ours(exchange: str, symbol: str) -> str:
    market = instrument(symbol)
    return f"{market.base}-{market.quote}" + ("-PERP" if exchange in ("binance-usdm", "bybit-linear") else "")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("exchange", "faults", "proof", "least"), CASES, ids=[case[0] for case in CASES])
async def test_what_an_exchange_sent_is_in_kafka_or_in_a_hole_that_is_told(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    environment: dict[str, str],
    exchange: str,
    faults: Faults,
    proof: Proof,
    least: float,
) -> None:
    async with simulator(symbols=SYMBOLS, speed=SPEED, start_us=START_US, faults=faults, seed=2) as client:
        name = exchange.removesuffix("-linear").upper().replace("-", "_")
        hosts = {
            f"CANDLEWICK_{name}_WS": client.address.replace("http", "ws", 1), f"CANDLEWICK_{name}_REST": client.address,
        }  # fmt: skip
        settings = settings.model_copy(update={"fill_timeout_s": 60.0})
        environment = environment | hosts | {"CANDLEWICK_FILL_TIMEOUT_S": "60"}
        for _ in range(LIVES):
            async with program(environment, "produce", exchange, "--all"):
                await asyncio.sleep(LIFE_S)  # then it is killed
        async with program(environment, "produce", exchange, "--all") as process:
            await asyncio.sleep(LIFE_S)
            await client.faults(**dict.fromkeys(vars(faults), 0))
            until_us = (await client.get("/sim/now"))["now_us"]
            keys = [f"{exchange.partition('-')[0]}:{ours(exchange, symbol)}".encode() for symbol in SYMBOLS]

            async def marked() -> bool:
                progress = await read_progress(settings, keys, until_us * 2, ids_prove=proof is Proof.IDS)
                ends = [resumption.marker.complete_until_us for resumption in progress.resumptions.values()]
                return len(ends) == len(keys) and min(ends) >= until_us

            async def is_told() -> dict[str, KeyLog]:
                logs = await read_log(settings)
                assert set(logs) == {ours(exchange, symbol) for symbol in SYMBOLS}
                for symbol in SYMBOLS:
                    await check(client, exchange, symbol, logs[ours(exchange, symbol)], until_us)
                return logs

            await eventually(marked, timeout_s=400, every_s=2.0)
            # A silent subscription is looked into after 15 to 60 s; what was claimed until then is mended afterwards.
            logs = await eventually(is_told, timeout_s=200, every_s=5.0)
            process.terminate()
            await process.wait()
        proofs: dict[str, int] = defaultdict(int)
        for symbol in SYMBOLS:
            log = logs[ours(exchange, symbol)]
            for end_us, said in proofs_of(log).items():
                proofs[said] += end_us <= until_us
        total = sum(proofs.values())
        print(exchange, dict(proofs), (await client.get("/sim/now"))["faults_done"])  # noqa: T201  # figures
        assert total >= len(SYMBOLS) * 10, "ten minutes of market time at least"
        assert proofs[proof] >= least * total, dict(proofs)
        assert proofs.keys() <= {proof, Proof.KLINE, Proof.HOLE}


def proofs_of(log: KeyLog) -> dict[int, str]:
    """Of each minute, by its end, the best claim; one that was taken back counts as it was said last."""
    return {minute.until_us: minute.proof for minute in log.closed}


async def check(client: Client, exchange: str, symbol: str, log: KeyLog, until_us: int) -> None:
    """The log has every trade that the exchange sent until then; what is missing lies in minutes that say so."""
    rows = await client.record(symbol, protocol=exchange, from_us=log.begin_us, until_us=until_us)
    truth = {row[0]: (Decimal(row[1]), Decimal(row[2]), int(row[3]), row[4] == "true") for row in rows}
    logged = {}
    for trade in log.trades:
        if log.begin_us <= trade["time_us"] < until_us:
            content = Decimal(trade["price"]), Decimal(trade["qty"]), trade["time_us"], trade["side"] == "sell"
            assert logged.setdefault(trade["trade_id"], content) == content
    assert logged.items() <= truth.items(), symbol
    proofs = proofs_of(log)
    for trade_id in truth.keys() - logged.keys():
        time_us = truth[trade_id][2]
        assert proofs[time_us - time_us % MINUTE_US + MINUTE_US] in {"hole", "kline"}, (symbol, trade_id)
