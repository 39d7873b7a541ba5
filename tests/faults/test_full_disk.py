"""A disk that is full, each store's own: the sink waits, says so, and goes on once there is room."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from eventually import eventually
from holdings import TARGETS, expected
from log import publish, record, trade
from members import PATIENCE_S, Member
from own_servers import OWN_SERVERS, new_bucket, s3_variables
from pydantic import SecretStr

from market.topics import Topics
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, child_environment

DISKS_MB = {"redis": 16, "clickhouse": 96, "parquet": 8, "parquet-versitygw": 8, "postgres": 160}
FLAGS = {"parquet": ("--file-records", "100")}
TRADES = [trade(number, symbol=f"S{number % 20}-USD") for number in range(8_000)]
FIRST = STEP = 1_000
BALLAST = "ballast"
OPEN = 400
"""So many may wait in open files."""


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """In memory."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no small disk: only root can mount one in memory")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def store_on(disk: Path, settings: Settings, name: str) -> AsyncIterator[tuple[Settings, dict[str, str]]]:
    """The settings, and the variables of the store's client."""
    if name == "parquet":
        yield settings.model_copy(update={"cold": (disk / "cold").as_uri()}), {}
        return
    sink = TARGETS[name].name
    server = await asyncio.to_thread(OWN_SERVERS[sink], disk)
    try:
        await server.start()
        if sink == "parquet":
            cold = f"s3://{await asyncio.to_thread(new_bucket, server.url)}/cold"
            yield settings.model_copy(update={"cold": cold}), s3_variables(server.url)
        else:
            yield settings.model_copy(update={sink: SecretStr(server.url)}), {}
    finally:
        server.kill()


def fill(disk: Path) -> bool:
    """Take all the room there is, that which a store gave back meanwhile too."""
    with (disk / BALLAST).open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return True


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DISKS_MB)
async def test_a_full_disk_is_waited_for_and_nothing_is_lost(
    settings: Settings, topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = TARGETS[name]
    with small_disk(tmp_path / "disk", DISKS_MB[name]) as disk:
        async with store_on(disk, settings, name) as (own, variables):
            for variable, value in variables.items():
                monkeypatch.setenv(variable, value)
            command = ("sink", target.name, *FLAGS.get(target.name, ()))
            member = Member(child_environment(own, progress_s="1"), tmp_path / "log", command=command)
            try:
                await publish(own, topics.trades, [record(one) for one in TRADES[:FIRST]])
                await member.start()
                await eventually(lambda: member.lines("assigned"), timeout_s=PATIENCE_S)
                await eventually(lambda: total_offset(own, target.name, topics), timeout_s=PATIENCE_S)
                for begin in range(FIRST, len(TRADES), STEP):
                    fill(disk)
                    await publish(own, topics.trades, [record(one) for one in TRADES[begin : begin + STEP]])
                await eventually(
                    lambda: fill(disk) and len(member.lines("the store is away")) > 1, timeout_s=PATIENCE_S
                )
                assert member.is_running
                assert await total_offset(own, target.name, topics) < len(TRADES), "what is not written counts"
                (disk / BALLAST).unlink()
                await eventually(lambda: rows(member) > len(TRADES) - OPEN, timeout_s=PATIENCE_S)
                assert await member.end(signal.SIGTERM) == 0
            finally:
                await member.end(signal.SIGKILL)
            held = await target.held(own)
    assert held.trades == expected(TRADES, []).trades
    assert held.places is None or len(set(held.places)) == len(held.places) == len(TRADES)


async def total_offset(settings: Settings, sink: str, topics: Topics) -> int:
    offsets = await group_offsets(settings, topics.group(f"sink.{sink}"))
    return sum(offset for (topic, _), offset in offsets.items() if topic == topics.trades)


def has_waited(member: Member) -> bool:
    """More than once."""
    return len(member.lines("the store is away")) > 1


def rows(member: Member) -> int:
    """Those that the store has acknowledged."""
    return max((line["rows"] for line in member.lines("progress")), default=0)
