"""A live stack with two kinds of markets, and the API over it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dumps import simulated
from everywhere import Candles, candles_by_place, run_all, trades_by_place
from kafka_commands import delete_all_topics
from outside import DAY_MS, HERE, ROOT, SHOWN, LiveMarket, environment

from runtime.settings import Settings, clickhouse_address, kafka_address, redis_address


@pytest.fixture(scope="session")
def market(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    """Some minutes of ETH-USDT from a feed through the whole pipeline, and an imported day of BTC-USDT.

    The stores are at rest then, so that a client can be held against them; the open candle is still in Redis.
    """
    folder, name = tmp_path_factory.mktemp("clients"), f"t{uuid.uuid4().hex[:8]}"
    cold = (folder / "cold").as_uri()
    (folder / "cold").mkdir()
    settings = stack.model_copy(update={"prefix": f"{name}.", "clickhouse_database": name, "cold": cold})
    surroundings = os.environ | {
        "CANDLEWICK_HOME": str(folder / "home"),
        "CANDLEWICK_KAFKA": kafka_address(stack),
        "CANDLEWICK_REDIS": redis_address(stack),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(stack),
        "CANDLEWICK_COLD": cold,
        "CANDLEWICK_PREFIX": settings.prefix,
        "CANDLEWICK_PARTITIONS": str(stack.partitions),
        "CANDLEWICK_CLICKHOUSE_DATABASE": name,
        "PYTHONPATH": str(ROOT),
    }
    try:
        _candlewick(surroundings, "run", "--headless", "--symbols", "ETHUSDT,LTCUSDT", "--api-port", "0",
                    "--speed", "60", "--for", "20s", "--market-start", "1h")  # fmt: skip
        dump = simulated(folder, "BTCUSDT", "trades", "2024-05-01", DAY_MS, 1)
        _candlewick(surroundings, "import", str(dump))
        asyncio.run(run_all(settings))
        candles, trades = asyncio.run(_held(settings))
        with _served(surroundings) as address:
            yield LiveMarket(address, candles, trades["ClickHouse"])
    finally:
        delete_all_topics(settings)


async def _held(settings: Settings) -> tuple[dict[str, Candles], dict[str, Any]]:
    return await candles_by_place(settings), await trades_by_place(settings)


def _candlewick(surroundings: dict[str, str], *words: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "candlewick", *words],
        env=surroundings, check=False, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]


@contextlib.contextmanager
def _served(surroundings: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "candlewick", "serve", "--port", "0"]
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield next(line["address"] for line in map(json.loads, server.stderr) if "address" in line)
        finally:
            server.kill()


@pytest.fixture
def read_by(market: LiveMarket, tmp_path: Path) -> Callable[[str, str], dict[str, Any]]:
    """What a program reads with the client of a piece of the page."""

    def reading(program: str, piece: str) -> dict[str, Any]:
        (tmp_path / "piece.py").write_text(piece.replace(SHOWN, market.address))
        python = environment("python-binance-ccxt.txt") / "python"
        ran = subprocess.run(
            [str(python), str(HERE / "programs" / program)],
            env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
            check=False, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-3000:]
        return dict(json.loads(ran.stdout.splitlines()[-1]))

    return reading
