"""The supervisor on real processes that need nothing of ours."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candlewick.pipeline.supervise.lock import run_lock
from candlewick.pipeline.supervise.logfile import LogFile
from candlewick.pipeline.supervise.process import Stage
from candlewick.pipeline.supervise.supervisor import StageChange, StageEvent, Supervisor
from runtime.errors import CandlewickError

TIMEOUT_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110  # the condition is another process's doing
            await asyncio.sleep(0.01)


class Heard:
    """What a supervisor told."""

    def __init__(self) -> None:
        self.events: list[StageEvent] = []
        self.entries: list[dict[str, Any]] = []

    def supervisor(self, logs: Path) -> Supervisor:
        return Supervisor(logs, on_event=self.events.append, on_entry=lambda _stage, entry: self.entries.append(entry))

    def texts(self, change: StageChange) -> list[str]:
        return [event.text for event in self.events if event.change is change]

    async def change(self, change: StageChange) -> None:
        await until(lambda: self.texts(change))


def stage(name: str, code: str, *, grace_s: float = 10.0) -> Stage:
    return Stage(name=name, command=[sys.executable, "-u", "-c", code], environment=dict(os.environ), grace_s=grace_s)


SLEEP = "import time; time.sleep(60)"


async def test_a_killed_stage_comes_back_and_it_is_said(tmp_path: Path) -> None:
    heard = Heard()
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("candles", SLEEP))
        await heard.change(StageChange.STARTED)
        os.kill(supervisor.pid("candles"), signal.SIGKILL)
        await heard.change(StageChange.RESTARTED)
    assert heard.texts(StageChange.RESTARTED) == ["candles died (signal 9), restarted"]


async def test_a_stage_that_cannot_live_is_given_up_with_its_own_words(tmp_path: Path) -> None:
    heard = Heard()
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("produce", "import sys; print('no such host\\n+-----'); sys.exit(2)"))
        with pytest.raises(
            CandlewickError, match=r"produce ended with code 2 and was given up; it said: no such host.*produce\.log"
        ):
            await asyncio.wait_for(supervisor.failed(), TIMEOUT_S)


async def test_json_lines_are_heard_and_every_line_is_logged(tmp_path: Path) -> None:
    heard, log = Heard(), tmp_path / "rolling.log"
    code = "print('{\"event\": \"progress\", \"records\": 7}'); print('{broken'); print('x' * 200_000); " + SLEEP
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("rolling", code))
        await until(lambda: log.exists() and log.stat().st_size > 200_000)
    assert heard.entries == [{"event": "progress", "records": 7}]
    assert log.read_text().startswith('{"event": "progress", "records": 7}\n{broken\nxxx')


async def test_a_stopped_stage_drains_and_does_not_come_back(tmp_path: Path) -> None:
    heard = Heard()
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('{}'); " + SLEEP
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("sink", code))
        await until(lambda: heard.entries)
        assert await supervisor.stop("sink") == 0
    assert [event.change for event in heard.events] == [StageChange.STARTED, StageChange.STOPPED]


async def test_a_stage_that_ends_by_itself_is_run_once_under_the_name_of_one_that_was_stopped(tmp_path: Path) -> None:
    heard = Heard()
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("sink", SLEEP, grace_s=0.1))
        await supervisor.stop("sink")
        assert await supervisor.run_to_end(stage("sink", "print('the rest')")) == 0
        assert await supervisor.run_to_end(stage("sink", "raise SystemExit(3)")) == 3
    assert [event.change for event in heard.events][-4:] == [StageChange.STARTED, StageChange.STOPPED] * 2
    assert "the rest" in (tmp_path / "sink.log").read_text()


async def test_a_stage_that_does_not_drain_is_killed_after_its_grace(tmp_path: Path) -> None:
    heard = Heard()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('{}'); " + SLEEP
    async with heard.supervisor(tmp_path) as supervisor:
        supervisor.start(stage("stubborn", code, grace_s=0.2))
        await until(lambda: heard.entries)
        assert await supervisor.stop("stubborn") == -signal.SIGKILL


SUPERVISED = """
import asyncio, os, sys
from pathlib import Path
from candlewick.pipeline.supervise.process import Stage
from candlewick.pipeline.supervise.supervisor import Supervisor
async def main():
    async with Supervisor(Path(sys.argv[1]), on_event=lambda e: None, on_entry=lambda p, e: None) as supervisor:
        supervisor.start(Stage(name="p", command=[sys.executable, "-c", "import time; time.sleep(60)"], environment={}))
        while not supervisor.pid("p"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # past the tether's exec
        print(supervisor.pid("p"), flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_stages_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pid = int(supervisor.stdout.readline())
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    deadline = time.monotonic() + TIMEOUT_S
    while _alive(pid):
        assert time.monotonic() < deadline, "the stage outlived its supervisor"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_one_run_at_a_time_on_a_folder(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path),
        pytest.raises(CandlewickError, match=rf"^candlewick .*\(process {os.getpid()}\) is using {tmp_path}"),
        run_lock(tmp_path),
    ):
        pass


def test_a_stage_that_outlives_its_supervisor_holds_the_folder(tmp_path: Path) -> None:
    """The lock is inherited: on systems that cannot tie the two, the next run notices."""
    hold = (
        "import subprocess, sys, time; from pathlib import Path\n"
        "from candlewick.pipeline.supervise.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])) as lock:\n"
        "    print(subprocess.Popen(['sleep', '60'], pass_fds=[lock]).pid, flush=True)\n"
        "    time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
    outliving = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        with pytest.raises(CandlewickError, match="is using"), run_lock(tmp_path):
            pass
    finally:
        os.kill(outliving, signal.SIGKILL)
    deadline = time.monotonic() + TIMEOUT_S
    while _alive(outliving):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with run_lock(tmp_path):
        pass


def test_the_lock_of_a_folder_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["candlewick", "run", "--redis", "redis://:secret@there"])
    with run_lock(tmp_path):
        assert "secret" not in (tmp_path / "run.lock").read_text()


def test_a_lock_file_left_behind_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("12345\n")
    with run_lock(tmp_path):
        assert (tmp_path / "run.lock").read_text().endswith(f"(process {os.getpid()})\n")


def test_a_log_file_stays_below_its_limit(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "candles.log", max_bytes=100)
    for number in range(50):
        log.write(b"%08d" % number)
    log.close()
    kept = b"".join((tmp_path / name).read_bytes() for name in ("candles.log.1", "candles.log"))
    assert kept.endswith(b"00000048\n00000049\n")
    assert len(kept) <= 2 * 110
