"""What tests share: one local stack for the whole session, and settings of its own for each test."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from kafka_commands import delete_all_topics
from pydantic import SecretStr

from deploy.local import stack as local_stack
from deploy.local.plan import Extra
from market.topics import Topics
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, load_settings, postgres_address

_KEPT = "CANDLEWICK_CACHE"  # downloads are shared with the developer's own stack


def pytest_configure() -> None:
    """Tests see none of the developer's own settings."""
    for name in [name for name in os.environ if name.startswith("CANDLEWICK_") and name != _KEPT]:
        del os.environ[name]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running local stack: real Kafka, Redis and ClickHouse engine. Started by the first test that asks for it."""
    home = tmp_path_factory.mktemp("stack")
    settings = load_settings(home=home, kafka_port=0, redis_port=0, clickhouse_port=0, postgres_port=0, partitions=4)
    try:
        local_stack.up(settings)
        yield settings
    finally:
        local_stack.down(settings)


@pytest.fixture
def settings(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    """This test's own prefix, ClickHouse database and cold folder on the session's stack; no topics yet."""
    name = f"t{uuid.uuid4().hex[:8]}"
    cold = tmp_path / "cold"
    cold.mkdir()
    own = stack.model_copy(update={"prefix": f"{name}.", "clickhouse_database": name, "cold": cold.as_uri()})
    yield own
    delete_all_topics(own)


@pytest.fixture(scope="session")
def postgres_server(stack: Settings) -> str:
    """The address of the stack's PostgreSQL, which the first test that asks for it starts."""
    local_stack.up(stack, extras=[Extra.POSTGRES])
    return postgres_address(stack)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of this test's own."""
    name = f"t{uuid.uuid4().hex[:8]}"
    asyncio.run(_execute(postgres_server, f"CREATE DATABASE {name}"))
    yield f"{postgres_server.rpartition('/')[0]}/{name}"
    asyncio.run(_execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def with_postgres(settings: Settings, postgres_url: str) -> Settings:
    """This test's settings, with a database of its own."""
    return settings.model_copy(update={"postgres": SecretStr(postgres_url)})


@pytest.fixture
async def topics(settings: Settings) -> Topics:
    """All topics of this test's settings, made."""
    assert await apply_topics(settings) == []
    return settings.topics


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a program of ours has this test's settings."""
    return os.environ | {
        "CANDLEWICK_HOME": str(settings.home),
        "CANDLEWICK_PREFIX": settings.prefix,
        "CANDLEWICK_PARTITIONS": str(settings.partitions),
        "CANDLEWICK_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "CANDLEWICK_COLD": settings.cold or "",
    }


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
