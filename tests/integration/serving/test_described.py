"""The interface as it describes itself, asked everything that a machine can think of: no 500, nothing undescribed."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from written import MINUTE, T0, candle, ticker, trade, write

from runtime.settings import Settings, clickhouse_address
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance",
)  # fmt: skip
INJECTIONS = (
    "' OR 1=1 --", "BTC-USDT' UNION ALL SELECT * FROM trades --", "'; DROP TABLE candles; --", '" OR ""="',
    "{exchange:String}", "${jndi:ldap://x}", "$(id)", "`id`", "../../../etc/passwd", "%00", "\\'", "*", "?", "[a-z]*",
    "x\r\nSET cw:hacked 1\r\n", "<script>alert(1)</script>", "{{7*7}}", "return redis.call('FLUSHALL')",
    "\U0001f56f" * 40,
)  # fmt: skip
COUNTED = "SELECT count() FROM candles UNION ALL SELECT count() FROM trades UNION ALL SELECT count() FROM tickers"


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    """Some of everything in every tier."""
    topics = settings.topics
    await write(ParquetStore(settings), topics.candles(), [candle(minute) for minute in range(3)])
    for store in (ClickHouseStore(settings), RedisStore(settings)):
        await write(store, topics.candles(), [candle(minute) for minute in range(2, 40)])
        await write(store, topics.trades, [trade(number) for number in range(1, 120)])
        await write(store, topics.tickers, [ticker("BTC-USDT", 3), ticker("ETH-USDT", 4)])
    return settings


async def fuzzed(address: str, folder: Path, *options: str) -> None:
    """Asserts that schemathesis, which leaves files in the folder, finds nothing; else it says how to ask again.

    Other programs' interfaces have errors of their own forms: of them only defects are looked for.
    """
    for checks, paths in ((",".join(CHECKS), "^/v1/"), ("not_a_server_error", "^/(api|exchange|udf)/")):
        await _fuzzed(address, folder, "--checks", checks, "--include-path-regex", paths, *options)


async def _fuzzed(address: str, folder: Path, *options: str) -> None:
    command = ("schemathesis.cli", "run", f"{address}/v1/openapi.json", "--no-color")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        *options,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-6000:]


async def test_a_few_questions_of_every_kind_are_answered_as_described(filled: Settings, tmp_path: Path) -> None:
    async with serving(filled, ServeSettings(port=0)) as (address, _):
        await fuzzed(address, tmp_path, "--seed", "1", "--phases", "fuzzing", "--max-examples", "8", "--no-shrink")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_thousands_of_questions_are_answered_as_described(filled: Settings, tmp_path: Path) -> None:
    async with serving(filled, ServeSettings(port=0)) as (address, _):
        await fuzzed(
            address, tmp_path, "--max-time", "300", "--max-examples", "400", "--phases", "examples,coverage,fuzzing"
        )


async def test_what_stands_in_a_question_is_never_carried_out(filled: Settings) -> None:
    async with serving(filled, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        before = await counted(filled)
        async with session.get("/v1/openapi.json") as description:
            paths = json.loads(await description.read())["paths"]
        for path, query in questions(paths):
            async with session.get(path.format(exchange="binance"), params=query) as response:
                told = await response.read()
                assert response.status in {200, 400, 404}, (path, query, told)
                if not path.startswith("/v1/"):
                    continue
                records = json.loads(told).get(path.rpartition("/")[2]) if response.status == 200 else []
                assert not records, (path, query, told)
        assert await counted(filled) == before
        async with session.get("/v1/trades", params={"exchange": "binance", "symbol": "BTC-USDT"}) as unharmed:
            assert len(json.loads(await unharmed.read())["trades"]) == 100


def questions(paths: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every path with each of the injections in the place of each of its texts; the other parameters are good."""
    good = {
        "exchange": "binance", "symbol": "BTC-USDT", "symbols": "BTC-USDT", "from_ms": str(T0),
        "until_ms": str(T0 + MINUTE), "kind": "tick", "threshold": "100", "interval": "1m", "resolution": "1",
        "from": str(T0 // 1000), "to": str(T0 // 1000 + 60),
    }  # fmt: skip
    for path, methods in paths.items():
        given = methods.get("get", {}).get("parameters", ())
        parameters = [each for each in given if each["in"] == "query"]
        required = {each["name"]: good[each["name"]] for each in parameters if each["required"]}
        texts = [each["name"] for each in parameters if "integer" not in json.dumps(each["schema"])]
        yield from ((path, required | {name: text}) for name in texts for text in INJECTIONS)


async def counted(settings: Settings) -> list[bytes]:
    """How many rows each of some tables holds in ClickHouse, in any order."""
    query = {"database": settings.clickhouse_database}
    async with (
        aiohttp.ClientSession() as session,
        session.post(clickhouse_address(settings), params=query, data=COUNTED) as response,
    ):
        assert response.ok
        return sorted((await response.read()).splitlines())
