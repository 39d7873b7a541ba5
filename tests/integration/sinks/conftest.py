"""The stores that the contract suite is run over."""

import uuid
from collections.abc import Iterator

import boto3
import pytest
from holdings import TARGETS, Target
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from redis_servers import RedisNodes, redis_cluster

from runtime.settings import Settings

_S3 = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def redis_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNodes]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(params=list(TARGETS))
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
    if target is not TARGETS["parquet-s3"]:
        return settings
    endpoint = request.getfixturevalue("s3_server")
    bucket = f"t{uuid.uuid4().hex[:8]}"
    for name, value in (_S3 | {"AWS_ENDPOINT_URL": endpoint}).items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return settings.model_copy(update={"cold": f"s3://{bucket}/cold"})
