"""Members that leave, come back under their name, or share one by mistake, while trades are written."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from candle_engine import fill, one_pass, read_all
from confluent_kafka.admin import AdminClient
from eventually import eventually
from market_log import Log
from members import PATIENCE_S, Member
from two_versions import assert_exactly_once, log_of_both

from market.topics import Topics
from processors.engine.state import StoredState
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, kafka_address

Environment = dict[str, str]


async def test_a_worker_that_is_told_to_stop_under_load_commits_and_leaves_at_once(
    settings: Settings, topics: Topics, environment: Environment, tmp_path: Path
) -> None:
    log, truths = log_of_both(31, minutes=400)
    leaving, staying = (Member(environment, tmp_path / name) for name in ("leaving", "staying"))
    async with ended(leaving, staying):
        await leaving.start()
        await eventually(lambda: leaving.assignments() == [[0, 1, 2, 3]], timeout_s=PATIENCE_S)
        await staying.start()
        await eventually(lambda: len(leaving.assignments()[-1]) == 2, timeout_s=PATIENCE_S)
        async with flowing(settings, log):
            await eventually(lambda: committed(settings, topics, len(log.records) // 8), timeout_s=PATIENCE_S)
            share = leaving.assignments()[-1]
            assert await leaving.end(signal.SIGTERM) == 0
            # The broker's word, not a clock: the member left, so nobody waits for the end of its session.
            assert await asyncio.to_thread(member_count, settings, topics) <= 1
            await eventually(lambda: staying.assignments()[-1] == [0, 1, 2, 3], timeout_s=PATIENCE_S)
        assert len(share) == 2
        await eventually(lambda: committed(settings, topics, len(log.records)), timeout_s=PATIENCE_S)
        assert await staying.end(signal.SIGTERM) == 0
    await assert_exactly_once(settings, truths)


async def test_the_last_worker_leaves_a_state_that_holds_all_it_committed(
    settings: Settings, topics: Topics, environment: Environment, tmp_path: Path
) -> None:
    log, truths = log_of_both(32, minutes=200)
    member = Member(environment, tmp_path / "member")
    async with ended(member), flowing(settings, log):
        await member.start()
        await eventually(lambda: committed(settings, topics, len(log.records) // 4), timeout_s=PATIENCE_S)
        assert await member.end(signal.SIGTERM) == 0
        offsets = await group_offsets(settings, topics.group("candles"))
        states = await read_all(settings, topics.state)
    assert sum(offsets.values()) >= len(log.records) // 4
    for (_, partition), offset in offsets.items():
        stored = StoredState()
        stored.take([record for record in states if record.partition == partition])
        assert stored.position == offset  # the next start reads nothing again
    await one_pass(settings)
    await assert_exactly_once(settings, truths)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
async def test_a_named_member_that_is_started_again_takes_its_own_and_moves_nobody(
    settings: Settings, topics: Topics, environment: Environment, tmp_path: Path, by: signal.Signals
) -> None:
    log, truths = log_of_both(33, minutes=400)
    one, other = (Member(environment, tmp_path / name, "--instance-id", name) for name in ("one", "other"))
    async with ended(one, other):
        await one.start()
        await eventually(lambda: one.assignments() == [[0, 1, 2, 3]], timeout_s=PATIENCE_S)
        await other.start()
        await eventually(lambda: other.assignments() and len(one.assignments()[-1]) == 2, timeout_s=PATIENCE_S)
        before = one.assignments()
        share = other.assignments()[-1]
        async with flowing(settings, log):
            for member, seen in ((other, 2), (other, 3)):
                assert await member.end(by) == (0 if by == signal.SIGTERM else -by)
                await member.start()
                await eventually(lambda seen=seen: len(other.assignments()) == seen, timeout_s=PATIENCE_S)
        await eventually(lambda: committed(settings, topics, len(log.records)), timeout_s=PATIENCE_S)
        assert other.assignments() == [share] * 3
        assert one.assignments() == before
        assert [await one.end(signal.SIGTERM), await other.end(signal.SIGTERM)] == [0, 0]
    await assert_exactly_once(settings, truths)


@pytest.mark.usefixtures("topics")
async def test_two_members_under_one_name_take_from_each_other_and_write_nothing_twice(
    settings: Settings, environment: Environment, tmp_path: Path
) -> None:
    log, truths = log_of_both(34, minutes=200)
    twins = [Member(environment, tmp_path / f"twin-{n}", "--instance-id", "same") for n in range(2)]
    async with ended(*twins):
        await asyncio.gather(*(twin.start() for twin in twins))
        async with flowing(settings, log):
            for twin in twins:
                await eventually(twin.assignments, timeout_s=PATIENCE_S)
        codes = [await twin.end(signal.SIGTERM) for twin in twins]
        assert codes == [0, 0]
    await one_pass(settings)
    await assert_exactly_once(settings, truths)


@asynccontextmanager
async def flowing(settings: Settings, log: Log) -> AsyncIterator[None]:
    """Trades are written, some at a time, while the block is at work; all are in at its end."""

    async def write() -> None:
        for at in range(0, len(log.records), 25):
            await fill(settings, Log(records=log.records[at : at + 25]))

    writing = asyncio.create_task(write())
    try:
        yield
        await writing
    finally:
        writing.cancel()


@asynccontextmanager
async def ended(*members: Member) -> AsyncIterator[None]:
    """Nobody outlives the block."""
    try:
        yield
    finally:
        for member in members:
            await member.end(signal.SIGKILL)


async def committed(settings: Settings, topics: Topics, goal: int) -> bool:
    return sum((await group_offsets(settings, topics.group("candles"))).values()) >= goal


def member_count(settings: Settings, topics: Topics) -> int:
    group = topics.group("candles")
    admin = AdminClient({"bootstrap.servers": kafka_address(settings)})
    return len(admin.describe_consumer_groups([group])[group].result(30).members)
