"""One run at a time on a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import CandlewickError


@contextmanager
def run_lock(home: Path) -> Iterator[int]:
    """Hold the folder for this run; yields the lock's descriptor for the parts to inherit.

    The system lets go of the lock when the last process that has it ends, so a file left behind by a killed run is
    harmless, and parts that outlived their supervisor are noticed.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / "run.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise CandlewickError(
                f"another candlewick run (process {holder}) is using {home}: stop it first, "
                "or give this one a data folder of its own (CANDLEWICK_HOME)"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)
