"""Two processes under one instance id: both say what is wrong and what to do about it."""

import asyncio
import sys
from pathlib import Path

import pytest
from eventually import eventually

from market.topics import Topics

PATIENCE_S = 90.0


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("stage", ["candles", "rolling", "sink redis"])
async def test_two_processes_under_one_instance_id_name_the_cause(
    stage: str, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    assert topics
    logs = [tmp_path / "one", tmp_path / "two"]
    command = [sys.executable, "-m", "candlewick", *stage.split(), "--instance-id", "twin"]
    processes = []
    for log in logs:
        with log.open("wb") as stderr:
            processes.append(await asyncio.create_subprocess_exec(*command, env=environment, stderr=stderr))
    try:
        await eventually(lambda: any("--instance-id twin" in log.read_text() for log in logs), timeout_s=PATIENCE_S)
    finally:
        for process in processes:
            process.kill()
            await process.wait()
