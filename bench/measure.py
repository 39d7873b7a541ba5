"""One process from start to end: what it says of itself, and what the kernel says of it."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage


class EngineFailed(Exception):  # noqa: N818  # it is a result, told in one line
    """An engine ended with an error, or without its figures."""


@dataclass(frozen=True)
class Span:
    """A stretch of trades and what it took."""

    trades: int
    cpu_s: float
    wall_s: float

    @property
    def per_cpu_s(self) -> float:
        """Trades per CPU-second."""
        return self.trades / self.cpu_s

    @property
    def per_s(self) -> float:
        """Trades per second."""
        return self.trades / self.wall_s


@dataclass(frozen=True)
class Run:
    """What one process took."""

    whole: Span
    """By the kernel, all threads, start and end included."""
    work: Span
    """By itself, from its first record to its last commit."""
    warm: Span
    """By itself, the second half of the records."""
    peak_mb: float


def run_engine(
    command: Sequence[str], *, trades: int, folder: Path, environment: dict[str, str], patience_s: float = 900.0
) -> Run:
    """Run a command to its end; its standard output holds one line ``RESULT {…}`` (engines/result.py)."""
    began_s = time.perf_counter()
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err) as process:
            usage = _wait(process, began_s + patience_s)
        wall_s = time.perf_counter() - began_s
        out.seek(0)
        results = [line for line in out if line.startswith("RESULT ")]
        if process.returncode or not results:
            err.seek(0)
            last = (err.read().strip() or "nothing on standard error").splitlines()[-1]
            raise EngineFailed(f"exit code {process.returncode}: {last[:300]}")
    said = json.loads(results[-1].removeprefix("RESULT "))
    if said["trades"] != trades:
        raise EngineFailed(f"it saw {said['trades']} trades of {trades}")
    cpu_s, wall_inside_s = said["cpu_s"], said["wall_s"]
    warm = Span(trades - said["half_trades"], cpu_s - said["half_cpu_s"], wall_inside_s - said["half_wall_s"])
    whole = Span(trades, usage.ru_utime + usage.ru_stime, wall_s)
    return Run(whole, Span(trades, cpu_s, wall_inside_s), warm, usage.ru_maxrss / 1024)


def _wait(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", until_s: float) -> struct_rusage:
    """Wait for this child alone, and take what the kernel counted for it; end it when its time is over."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.perf_counter() > until_s:
            process.kill()
            until_s = float("inf")
        time.sleep(0.02)


def spread(values: Sequence[float]) -> dict[str, int]:
    """The least, the median and the greatest."""
    return {"min": round(min(values)), "median": round(statistics.median(values)), "max": round(max(values))}
