"""``candlewick stack`` as a person uses it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from eventually import eventually

from runtime.settings import Settings, clickhouse_address, kafka_address

Run = Callable[..., subprocess.CompletedProcess[str]]
ANY_PORTS = {"CANDLEWICK_KAFKA_PORT": "0", "CANDLEWICK_REDIS_PORT": "0", "CANDLEWICK_CLICKHOUSE_PORT": "0"}


def candlewick(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "candlewick", *words]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Run]:
    """The command with a home of its own."""
    environment = ANY_PORTS | {"CANDLEWICK_HOME": str(tmp_path), "CANDLEWICK_PARTITIONS": "1"}
    yield lambda *words, **more: candlewick(*words, **(environment | more))
    candlewick("stack", "down", CANDLEWICK_HOME=str(tmp_path))


@pytest.fixture
def redis_only(alone: Run, settings: Settings) -> Run:
    """The same, with Kafka and ClickHouse set to the session's: quick."""
    environment = {
        "CANDLEWICK_KAFKA": kafka_address(settings),
        "CANDLEWICK_CLICKHOUSE": clickhouse_address(settings),
        "CANDLEWICK_PREFIX": settings.prefix,
    }
    return lambda *words, **more: alone(*words, **(environment | more))


def kill_an_up_halfway(home: Path) -> None:
    environment = os.environ | ANY_PORTS | {"CANDLEWICK_HOME": str(home)}
    command = [sys.executable, "-m", "candlewick", "stack", "up"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as halfway:
        assert halfway.stderr
        assert b" ready at " in halfway.stderr.readline()
        halfway.kill()


async def test_data_survive_kill_9_of_us_and_of_every_part_until_reset(alone: Run, tmp_path: Path) -> None:
    kill_an_up_halfway(tmp_path)
    assert alone("stack", "up").returncode == 0
    where = json.loads(alone("stack", "status", "--json").stdout)
    assert list(where) == ["kafka", "redis", "clickhouse", "cold"]
    await write(where)
    pids = {path.stem: int(path.read_text()) for path in (tmp_path / "run").glob("*.pid")}
    assert set(pids) == {"kafka-1", "redis", "clickhouse"}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    down = alone("stack", "status")
    assert down.returncode == 1
    assert down.stdout.count("stopped") == 3

    assert alone("stack", "up").returncode == 0
    assert json.loads(alone("stack", "status", "--json").stdout) == where
    assert await read(where) == (b"in kafka", "in redis", "in clickhouse")

    again = alone("stack", "up")
    assert again.returncode == 0
    assert again.stderr.count(" runs at ") == 3
    (tmp_path / "mine").touch()
    assert alone("stack", "reset").returncode == 0
    assert names(tmp_path) == {"stack.lock", "mine"}
    gone = alone("stack", "status", "--json")
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "candlewick stack up" in gone.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def write(where: dict[str, str]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=where["kafka"], acks="all")
    async with producer:
        await producer.send_and_wait("md.trades.v1", b"in kafka", partition=0)
    with redis.Redis.from_url(where["redis"]) as client:
        client.set("key", "in redis")
        await eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    client = clickhouse_connect.get_client(dsn=where["clickhouse"])
    client.command("CREATE TABLE kept (word String) ENGINE = MergeTree ORDER BY word")
    client.insert("kept", [["in clickhouse"]], column_names=["word"])


async def read(where: dict[str, str]) -> tuple[bytes | None, str, object]:
    consumer = AIOKafkaConsumer(bootstrap_servers=where["kafka"], enable_auto_commit=False)
    async with consumer:
        consumer.assign([TopicPartition("md.trades.v1", 0)])
        await consumer.seek_to_beginning()
        record = await consumer.getone()
    with redis.Redis.from_url(where["redis"], decode_responses=True) as client:
        word = client.get("key")
    return record.value, word, clickhouse_connect.get_client(dsn=where["clickhouse"]).command("SELECT word FROM kept")


def test_a_given_port_that_is_in_use_is_told_with_the_way_out(redis_only: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = redis_only("stack", "up", "--redis-port", str(port))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"port {port} for redis is in use" in refused.stderr
    assert "--redis-port" in refused.stderr


def test_stale_pid_and_lock_files_do_no_harm(redis_only: Run, tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "redis.pid").write_text(f"{stranger.pid}\n")
        (tmp_path / "stack.lock").write_text("left behind")
        up = redis_only("stack", "up")
        assert up.returncode == 0, up.stderr
        assert "redis ready at" in up.stderr
        assert redis_only("stack", "down").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_ups_at_once_start_each_part_once(redis_only: Run) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = [one.result() for one in [pool.submit(redis_only, "stack", "up") for _ in range(2)]]
    assert [one.returncode for one in done] == [0, 0]
    said = done[0].stderr + done[1].stderr
    assert (said.count("redis ready at"), said.count("redis runs at")) == (1, 1)


def test_a_server_that_is_not_there_is_told(alone: Run) -> None:
    done = alone("topics", "diff", CANDLEWICK_KAFKA="127.0.0.1:1")
    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in done.stderr


def test_a_download_without_network_is_told(alone: Run, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"
    cache = str(tmp_path / "cache")
    done = alone(
        "stack", "up", CANDLEWICK_CACHE=cache, HTTPS_PROXY=nowhere, https_proxy=nowhere, NO_PROXY="", no_proxy=""
    )
    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr
    assert "check the network" in done.stderr
    assert names(tmp_path / "cache") == {"download.lock"}


def test_wrong_usage_is_exit_code_2(alone: Run) -> None:
    assert alone("stack", "up", "--colour", "red").returncode == 2
    wrong = alone("stack", "status", CANDLEWICK_PARTITIONS="many")
    assert wrong.returncode == 2
    assert "setting CANDLEWICK_PARTITIONS is wrong" in wrong.stderr
