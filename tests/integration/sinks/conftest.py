"""The stores that the contract suite is run over."""

import asyncio
from collections.abc import Iterator

import pytest
from holdings import TARGETS, Target
from moto.server import ThreadedMotoServer
from own_servers import new_bucket, own_s3, s3_variables
from pydantic import SecretStr
from redis_servers import RedisNodes, redis_cluster

from runtime.settings import Settings

_LONG = {"parquet-versitygw"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server that writes files."""
    server = own_s3(tmp_path_factory.mktemp("versitygw"))
    try:
        asyncio.run(server.start())
        yield server.url
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNodes]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long if name in _LONG else ()) for name in TARGETS])
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.fixture
def sink_settings(
    request: pytest.FixtureRequest, target: Target, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings of the test; for the S3 target with a bucket of its own, for others with their servers' address."""
    if target.name == "redis" and "topics" in request.fixturenames:
        request.getfixturevalue("longer_candles")
    if target is TARGETS["redis-cluster"]:
        return settings.model_copy(update={"redis": SecretStr(request.getfixturevalue("redis_nodes").url)})
    if target is TARGETS["postgres"]:
        with_postgres: Settings = request.getfixturevalue("with_postgres")
        return with_postgres
    if target.s3 is None:
        return settings
    endpoint = request.getfixturevalue(target.s3)
    for name, value in s3_variables(endpoint).items():
        monkeypatch.setenv(name, value)
    return settings.model_copy(update={"cold": f"s3://{new_bucket(endpoint)}/cold"})
