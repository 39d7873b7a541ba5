"""One command at a time that needs a data folder for itself: a run, or what ends and deletes its servers."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.local.server import masked
from runtime.errors import CandlewickError, UsageError


@contextmanager
def run_lock(home: Path) -> Iterator[int]:
    """Hold the folder; yields the descriptor of the lock, for the stages of a run to inherit.

    The file says who holds it. The system releases the lock when the last process that inherited it ends. So a file
    that a killed run left behind does no harm, and stages that outlived their supervisor are noticed.

    Raises:
        CandlewickError: another process holds the folder; says which.
        UsageError: the folder cannot be written.
    """
    path = home / "run.lock"
    descriptors: list[int] = []

    def acquired(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{_this_command()} (process {os.getpid()})\n".encode(errors="replace"), 0)
        descriptors.append(descriptor)

    lock = FileLock(path, blocking=False, fallback_to_soft=False, preserve_lock_file=True, on_acquired=acquired)
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = path.read_text(errors="replace").strip() or "another candlewick run"
        raise CandlewickError(
            f"{holder} is using {home}: end it first (Ctrl-C, or kill -INT), or choose another data folder (--home)"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write to {home} ({error.strerror}): choose another data folder (--home)") from None
    try:
        yield descriptors[0]
    finally:
        lock.release()


def _this_command() -> str:
    return " ".join(masked(shlex.join(["candlewick", *sys.argv[1:]])).split())
