"""Load on an HTTP server: `wrk` where it is on the PATH (Debian: ``apt install wrk``), else `http_load.py`.

wrk makes several times the requests that any server here answers. `http_load.py` makes about 8,000 a second and takes a
core for it, so a result near that is a lower bound; the results file names what was used.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import EngineFailed

HERE = Path(__file__).parent
WRK = shutil.which("wrk")
NAME = "wrk" if WRK else "http_load.py"


class LoadFigures(NamedTuple):
    """What a load saw."""

    per_s: float
    p50_ms: float
    p99_ms: float
    mb_per_s: float


def load(
    address: str, paths: Sequence[str], *, clients: int, seconds: float, headers: Mapping[str, str] | None = None
) -> LoadFigures:
    """Ask for the paths in turn from so many connections, each as soon as it has its answer.

    Raises `EngineFailed` where any answer is not 200.
    """
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        asked = Path(folder) / "asked.txt"
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        asked.write_text("\n".join([*lines, "", *paths]) + "\n")
        command = [sys.executable, str(HERE / "http_load.py"), address, str(asked), str(clients), str(seconds)]
        if WRK is not None:
            wrk = [WRK, "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "10s"]
            command = [*wrk, "-s", str(HERE / "load.lua"), address, "--", str(asked)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise EngineFailed(f"{NAME} ended with {done.returncode}: {done.stderr[-300:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    if said["failed"]:
        raise EngineFailed(f"{said['failed']} of {said['requests']} requests failed")
    per_s = said["requests"] / said["seconds"]
    return LoadFigures(per_s, said["p50_ms"], said["p99_ms"], said["bytes"] / said["seconds"] / 1e6)
