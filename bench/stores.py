"""What the sinks write into: each run finds it empty, and afterwards it says how many trades it holds."""

import asyncio
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import clickhouse_connect
import pyarrow.parquet as pq
import redis
from pydantic import SecretStr

from runtime.settings import Settings, clickhouse_address, cold_address, postgres_address, redis_address


@contextmanager
def empty_store(settings: Settings, name: str) -> Iterator[Settings]:
    """The settings with an empty store: a cold folder or a database of their own, or Redis without keys."""
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-cold-") as folder:
        own = settings.model_copy(
            update={"cold": Path(folder).as_uri(), "clickhouse_database": f"b{uuid.uuid4().hex[:8]}"}
        )
        if name == "postgres":
            base, database = postgres_address(settings).rpartition("/")[0], own.clickhouse_database
            asyncio.run(_ask(postgres_address(settings), f"CREATE DATABASE {database}"))
            own = own.model_copy(update={"postgres": SecretStr(f"{base}/{database}")})
        if name == "redis":
            redis.Redis.from_url(redis_address(settings)).flushall()
        yield own
        if name == "clickhouse":
            _client(own).command(f"DROP DATABASE IF EXISTS {own.clickhouse_database}")
        if name == "postgres":
            asyncio.run(_ask(postgres_address(settings), f"DROP DATABASE {own.clickhouse_database} WITH (FORCE)"))


def held_trades(settings: Settings, name: str) -> int | None:
    """How many trades a sink of ours has written; None: the store does not keep them all."""
    if name == "parquet":
        folder = Path(urlsplit(cold_address(settings)).path) / "trades"
        return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))
    if name == "clickhouse":
        count = f"SELECT count() FROM {settings.clickhouse_database}.trades FINAL"  # noqa: S608
        return int(_client(settings).command(count))
    if name == "postgres":
        return int(asyncio.run(_ask(postgres_address(settings), "SELECT count(*) FROM trades")))
    return None


async def _ask(url: str, question: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def _client(settings: Settings) -> clickhouse_connect.driver.client.Client:
    return clickhouse_connect.get_client(dsn=clickhouse_address(settings))
