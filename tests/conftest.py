"""What tests share: one local stack for the whole session, and settings of its own for each test."""

import asyncio
import logging
import os
import shutil
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import structlog
from kafka_commands import delete_all_topics
from pydantic import SecretStr

from deploy.local import stack as local_stack
from deploy.local.plan import Extra
from market.timeframe import Timeframe
from market.topics import Topics
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, clickhouse_address, load_settings, postgres_address

_KEPT = "CANDLEWICK_CACHE"  # downloads are shared with the developer's own stack
_MEMORY = Path("/dev/shm")  # noqa: S108  # each test's folder in it is pytest's, which nobody else may enter
_MEMORY_BYTES = 2 << 30


def pytest_configure() -> None:
    """Tests see none of the developer's own settings, and wait neither for a disk nor for compilers."""
    for name in [name for name in os.environ if name.startswith("CANDLEWICK_") and name != _KEPT]:
        del os.environ[name]
    if _memory_holds_files():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    # A broker that lives for minutes spends more on the second, optimising compiler than it gains.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    # The suite starts our programs two hundred times: they would compile every module each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the stack; under xdist its controller does, after the workers have ended."""
    home = _stack_home(session.config)
    if not hasattr(session.config, "workerinput") and home.exists():
        local_stack.down(load_settings(home=home))


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command that a test runs in its own process writes its logs to that test's streams, which close with it."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    structlog.reset_defaults()
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Settings:
    """A running local stack: real Kafka, Redis and ClickHouse engine. The first test that asks for it starts it.

    All workers of xdist share it: where it runs, or another is starting it, `up` only waits for it.
    """
    home = _stack_home(pytestconfig)
    ports = dict.fromkeys(("kafka_port", "redis_port", "clickhouse_port", "postgres_port"), 0)
    settings = load_settings(home=home, partitions=4, free_weight=0, **ports)  # tests ask more than a person may
    local_stack.up(settings)
    return settings


@pytest.fixture
def settings(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    """This test's own prefix, ClickHouse database and cold folder on the session's stack; no topics yet."""
    name = f"t{uuid.uuid4().hex[:8]}"
    cold = tmp_path / "cold"
    cold.mkdir()
    own = stack.model_copy(update={"prefix": f"{name}.", "clickhouse_database": name, "cold": cold.as_uri()})
    yield own
    delete_all_topics(own)
    drop = f"DROP DATABASE IF EXISTS {name}".encode()  # the engine keeps some 9 MB for the tables of each
    urllib.request.urlopen(clickhouse_address(own), drop, timeout=30).close()  # noqa: S310  # our own server


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
    """The topics of this test's settings, made, but for those of `longer_candles`."""
    longer = _longer_candles(settings.topics)
    assert await apply_topics(settings, [spec for spec in settings.topics.specs() if spec.name not in longer]) == []
    return settings.topics


@pytest.fixture
async def longer_candles(settings: Settings, topics: Topics) -> None:
    """The topics of candles longer than a minute too: more than half of all, which cost a broker most of a second."""
    longer = _longer_candles(topics)
    assert await apply_topics(settings, [spec for spec in topics.specs() if spec.name in longer]) == []


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


def _memory_holds_files() -> bool:
    """Whether this system keeps a folder in memory, with room for what tests write, and for programs to start in."""
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return False
    return shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC


def _stack_home(config: pytest.Config) -> Path:
    """Where the session's stack is: in the temporary folder of the session, which those of xdist's workers lie in."""
    base: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return (base.parent if hasattr(config, "workerinput") else base) / "stack"


def _longer_candles(topics: Topics) -> set[str]:
    longer = [topics.candles(timeframe) for timeframe in Timeframe if timeframe is not Timeframe.M1]
    return {*longer, *map(topics.dead_letters, longer)}


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
