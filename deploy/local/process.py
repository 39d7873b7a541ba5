"""A program that outlives the command that started it, and is recognised later without a doubt.

The program holds a lock on its pid file for as long as it lives: the file is locked, then inherited. The system
releases the lock when the program ends, however it ends. So a pid file that nobody holds is stale, even if another
program has that pid by now. (`filelock` cannot do this: what it releases is released for the program too.)
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import CandlewickError

POLL_S = 0.03
_LOG_BYTES = 10 * 1024 * 1024
_LAUNCH = """sh -c 'echo $$ >"$0"; exec "$@"' "$@" &"""  # the orphan writes its own pid, then becomes the program


@dataclass(frozen=True)
class ServerProcess:
    """A program by its pid file and its log."""

    name: str
    pid_file: Path
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to end."""

    def start(self, command: Sequence[str]) -> None:
        """Start `command` in a session of its own, its output added to the log; it must not be running."""
        if self.alive():
            raise CandlewickError(f"{self.name} is running already")
        for folder in (self.pid_file.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        with self.pid_file.open("a") as held, self.log.open("ab") as log:
            self._lock(held.fileno())
            held.truncate(0)
            subprocess.run(  # noqa: S603  # our own command, no shell expansion of its arguments
                ["/bin/sh", "-c", _LAUNCH, "sh", str(self.pid_file), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[held.fileno()],
                check=True,
            )

    def pid(self) -> int | None:
        """The pid while it runs, else None."""
        deadline = time.monotonic() + 1.0
        while self.alive():
            if (text := self.pid_file.read_text()).endswith("\n"):
                return int(text)
            if time.monotonic() > deadline:
                raise CandlewickError(f"{self.name} runs, but {self.pid_file} does not say its pid: end it by hand")
            time.sleep(POLL_S)  # it is about to write it
        return None

    def alive(self) -> bool:
        """Whether it runs."""
        try:
            with self.pid_file.open() as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def stop(self, patience_s: float) -> bool:
        """Ask it to end, and kill it after `patience_s`; returns False where it did not run."""
        if not self._signal(self.stop_signal):
            return False
        if not self._ends_within(patience_s):
            self._signal(signal.SIGKILL)
            if not self._ends_within(5.0):
                raise CandlewickError(f"{self.name} (pid {self.pid()}) does not end: end it by hand")
        return True

    def last_words(self, lines: int = 5) -> str:
        """The end of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _signal(self, number: signal.Signals) -> bool:
        if (pid := self.pid()) is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + 2.0
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another process looks at this moment whether it is held
                if time.monotonic() > deadline:
                    raise CandlewickError(f"{self.name} is running already") from None
                time.sleep(POLL_S)

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
