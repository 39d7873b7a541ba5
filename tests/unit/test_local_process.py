import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.process import ServerProcess
from runtime.errors import CandlewickError


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    one = ServerProcess("part", tmp_path / "run" / "part.pid", tmp_path / "logs" / "part.log")
    yield one
    one.stop(0.0)


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_started_program_is_known_by_its_pid_until_it_is_stopped(process: ServerProcess) -> None:
    process.start(["sleep", "60"])
    pid = process.pid()
    assert pid is not None
    assert soon(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\x00")
    assert process.stop(5.0)
    assert not process.alive()
    assert process.pid() is None
    assert not process.stop(5.0)


def test_a_killed_program_is_seen_as_gone_and_can_be_started_again(process: ServerProcess) -> None:
    process.start(["sleep", "60"])
    first = process.pid()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert soon(lambda: not process.alive())
    process.start(["sleep", "60"])
    assert process.pid() not in (None, first)


def test_a_stale_pid_file_that_names_someone_else_is_neither_believed_nor_killed(process: ServerProcess) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        process.pid_file.parent.mkdir()
        process.pid_file.write_text(f"{stranger.pid}\n")
        assert not process.alive()
        assert not process.stop(0.0)
        assert stranger.poll() is None
        process.start(["sleep", "60"])
        assert process.pid() not in (None, stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_program_that_does_not_end_when_asked_is_ended(process: ServerProcess) -> None:
    process.start(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"])
    assert soon(lambda: process.last_words() == "deaf")
    assert process.stop(0.2)
    assert not process.alive()


def test_a_program_outlives_whoever_started_it(process: ServerProcess) -> None:
    starter = (
        "import sys; from pathlib import Path; from deploy.local.process import ServerProcess; "
        "ServerProcess('part', Path(sys.argv[1]), Path(sys.argv[2])).start(['sleep', '60'])"
    )
    subprocess.run([sys.executable, "-c", starter, str(process.pid_file), str(process.log)], check=True)
    assert process.pid() is not None


def test_one_that_runs_is_not_started_twice(process: ServerProcess) -> None:
    process.start(["sleep", "60"])
    pid = process.pid()
    with pytest.raises(CandlewickError, match="part is running already"):
        process.start(["sleep", "60"])
    assert process.pid() == pid


def test_a_program_that_cannot_start_says_why_in_its_log(process: ServerProcess) -> None:
    process.start(["no-such-program"])
    assert soon(lambda: not process.alive())
    assert "not found" in process.last_words()
