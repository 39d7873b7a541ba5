"""The local stack and its data when all of it is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from eventually import eventually
from stack_commands import ANY_PORTS, Run, own_stack


async def test_data_survive_kill_9_of_us_and_of_every_part_until_reset(tmp_path: Path) -> None:
    with own_stack(tmp_path) as run:
        await killed_and_reset(run, tmp_path)


async def killed_and_reset(alone: Run, tmp_path: Path) -> None:
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
    assert names(tmp_path) == {"stack.lock", "run.lock", "mine"}
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


def kill_an_up_halfway(home: Path) -> None:
    environment = os.environ | ANY_PORTS | {"CANDLEWICK_HOME": str(home)}
    command = [sys.executable, "-m", "candlewick", "stack", "up"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as halfway:
        assert halfway.stderr
        assert b" ready at " in halfway.stderr.readline()
        halfway.kill()
