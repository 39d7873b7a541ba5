"""PostgreSQL where it is asked for: in the stack, in a run, in a verification, and an example that reads it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest
from stack_commands import Run, own_stack

from runtime.settings import Settings, clickhouse_address, kafka_address, postgres_address, redis_address

ROOT = Path(__file__).parents[2]
VERIFIED = re.compile(
    r"^verified: (\d+) trades, (\d+) candles, \d+ candles of \d+ longer timeframes, \d+ tickers, "
    r"0 missing, 0 duplicate, 0 different$",
    re.MULTILINE,
)


@pytest.fixture
def postgres_only(tmp_path: Path, settings: Settings) -> Iterator[Run]:
    """The command with a home of its own, the other servers set to the session's: quick."""
    others = {
        "CANDLEWICK_KAFKA": kafka_address(settings),
        "CANDLEWICK_REDIS": redis_address(settings),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(settings),
        "CANDLEWICK_PREFIX": settings.prefix,
        "CANDLEWICK_POSTGRES_PORT": "0",
    }
    with own_stack(tmp_path) as run:
        yield lambda *words, **more: run(*words, **(others | more))


@pytest.mark.timeout(240)
def test_the_stack_has_a_postgres_once_it_was_asked_for(postgres_only: Run, tmp_path: Path) -> None:
    assert "postgres" not in postgres_only("stack", "up").stderr
    assert "postgres" not in json.loads(postgres_only("stack", "status", "--json").stdout)
    up = postgres_only("stack", "up", "--with", "postgres")
    assert up.returncode == 0, up.stderr
    address = json.loads((tmp_path / "stack.json").read_bytes())["postgres"]
    password = address.split("@")[0].rpartition(":")[2]
    shown = postgres_only("stack", "status")
    told = json.loads(postgres_only("stack", "status", "--json").stdout)["postgres"]
    assert told == address.replace(password, "***")
    assert password not in up.stderr + shown.stdout
    assert (
        asyncio.run(answer(address, "SELECT current_user::text || '@' || current_database()"))
        == "candlewick@candlewick"
    )
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(answer(address.replace(password, "guessed"), "SELECT 1"))
    asyncio.run(answer(address, "CREATE TABLE kept ()"))

    assert "postgres stopped" in postgres_only("stack", "down").stderr
    assert postgres_only("stack", "status").returncode == 1
    assert "postgres ready at" in postgres_only("stack", "up").stderr
    assert asyncio.run(answer(address, "SELECT to_regclass('kept')::text")) == "kept"
    assert postgres_only("stack", "reset", "--yes").returncode == 0
    assert not (tmp_path / "postgres").exists()


async def answer(address: str, question: str) -> object:
    connection = await asyncpg.connect(address)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.timeout(240)
def test_a_run_fills_and_verifies_it_and_a_wrong_row_is_found(
    with_postgres: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    address = postgres_address(with_postgres)
    surroundings = environment | {
        "CANDLEWICK_HOME": str(tmp_path / "home"),
        "CANDLEWICK_KAFKA": kafka_address(with_postgres),
        "CANDLEWICK_REDIS": redis_address(with_postgres),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(with_postgres),
        "CANDLEWICK_POSTGRES": address,
        "PYTHONPATH": str(ROOT),
    }
    words = ("--headless", "--symbols", "ETHUSDT,XRPETH", "--api-port", "0", "--speed", "60", "--market-start", "2h")
    kill = ("--kill", "sink.postgres=4")
    ran = candlewick(surroundings, "run", *words, "--for", "14s", "--with", "postgres", *kill)
    summary = VERIFIED.search(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert summary, ran.stdout
    assert "sink.postgres died (signal 9), restarted" in ran.stdout
    assert asyncio.run(answer(address, "SELECT count(*) FROM trades WHERE symbol IN ('ETH-USDT', 'XRP-ETH')")) > 0
    assert json.loads(candlewick(surroundings, "status", "--json").stdout)["lag_records"]["sink.postgres"] == 0

    printed = candlewick_example(address, "binance", "ETH-USDT")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.count("\n") >= 1

    newest = "(SELECT max(open_time) FROM candles WHERE symbol = 'ETH-USDT' AND trades > 0)"
    trade = f"SELECT trade_id FROM trades WHERE symbol = 'ETH-USDT' AND minute = {newest} LIMIT 1"  # noqa: S608
    spoilt = asyncio.run(answer(address, trade))
    asyncio.run(answer(address, f"UPDATE trades SET qty = qty + 1 WHERE symbol = 'ETH-USDT' AND trade_id = '{spoilt}'"))  # noqa: S608
    lost = "SELECT max(open_time)::text FROM candles WHERE symbol = 'XRP-ETH'"
    minute = asyncio.run(answer(address, lost))
    asyncio.run(answer(address, f"DELETE FROM candles WHERE symbol = 'XRP-ETH' AND open_time = '{minute}'"))  # noqa: S608
    assert candlewick(surroundings, "verify").returncode == 0
    again = candlewick(surroundings, "verify", "--with", "postgres")
    assert again.returncode == 3, again.stdout
    assert f"different: trade {spoilt} of binance:ETH-USDT in PostgreSQL" in again.stdout
    assert "missing: the candle of binance:XRP-ETH" in again.stdout
    assert sum("PostgreSQL" in line for line in again.stdout.splitlines() if line.startswith("  ")) == 2


def candlewick(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "candlewick", *arguments],
        env=dict(environment), check=False, capture_output=True, text=True, timeout=110,
    )  # fmt: skip


def candlewick_example(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "postgres_hours.py"), *arguments],
        env=dict(os.environ), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
