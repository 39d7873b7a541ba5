"""Three brokers, two of which must have every record; the one that coordinates is killed in mid-commit, in turn."""

import asyncio
import os
import random
import signal
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from candle_engine import fill
from confluent_kafka.admin import AdminClient
from eventually import eventually
from market_log import Log
from members import Member
from two_versions import assert_exactly_once, log_of_both

from deploy.local import stack as local_stack
from runtime.errors import UnavailableError
from runtime.kafka.admin import apply_topics, group_offsets
from runtime.settings import Settings, kafka_address, load_settings

KILLS = int(os.environ.get("BROKER_KILLS", "6"))
PROGRESS_S = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Settings]:
    home = tmp_path / "cluster"
    settings = load_settings(
        home=home, kafka_port=0, redis_port=0, clickhouse_port=0, partitions=4, replication=3,
        prefix=f"t{uuid.uuid4().hex[:8]}.",
    )  # fmt: skip
    try:
        local_stack.up(settings, brokers=3)
        yield settings
    finally:
        local_stack.down(settings)


@pytest.mark.timeout(1200)
async def test_the_coordinator_killed_in_mid_commit_loses_no_acknowledged_record(
    cluster: Settings, tmp_path: Path
) -> None:
    assert await apply_topics(cluster) == []
    rng = random.Random(7)
    log, truths = log_of_both(7, minutes=200)
    size = -(-len(log.records) // (KILLS + 1))
    group = cluster.topics.group("candles")
    environment = os.environ | {
        "CANDLEWICK_HOME": str(cluster.home),
        "CANDLEWICK_PREFIX": cluster.prefix,
        "CANDLEWICK_PARTITIONS": str(cluster.partitions),
        "CANDLEWICK_REPLICATION": "3",
    }
    member = Member(environment, tmp_path / "member")

    async def committed(goal: int) -> bool:
        with suppress(UnavailableError):  # of this asking, while a broker is away
            return sum((await group_offsets(cluster, group)).values()) >= goal
        return False

    published = 0
    try:
        await member.start()
        for n in range(KILLS + 1):
            part = log.records[n * size : (n + 1) * size]
            await fill(cluster, Log(records=part))
            goal = published + rng.randrange(1, len(part))
            published += len(part)
            await eventually(partial(committed, goal), timeout_s=PROGRESS_S, every_s=0.05)  # commits are under way
            if n < KILLS:
                kill_broker(cluster, await asyncio.to_thread(coordinator, cluster, group))
                await eventually(partial(committed, published), timeout_s=PROGRESS_S, every_s=0.2)
                await asyncio.to_thread(local_stack.up, cluster)
        await eventually(partial(committed, published), timeout_s=PROGRESS_S, every_s=0.2)
        assert await member.end(signal.SIGTERM) == 0
    finally:
        await member.end(signal.SIGKILL)
    await assert_exactly_once(cluster, truths)


def coordinator(settings: Settings, group: str) -> int:
    """The node that keeps the group's offsets, and some of its transactions."""
    admin = AdminClient({"bootstrap.servers": kafka_address(settings)})
    return int(admin.describe_consumer_groups([group])[group].result(30).coordinator.id)


def kill_broker(settings: Settings, node: int) -> None:
    """As a machine that loses power."""
    processes = {process.name: process for process in local_stack.started(settings.home)}
    pid = processes[f"kafka-{node}"].pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
