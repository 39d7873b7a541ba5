"""One process from start to end: what it says of itself, and what the kernel says of it."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 900.0
_WAITED = Path(__file__).parent / "engines" / "waited.py"


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


def run_engine(command: Sequence[str], *, trades: int | None, folder: Path, environment: dict[str, str]) -> Run:
    """Run a command to its end in `folder`; its standard output holds one line ``RESULT {…}`` (engines/result.py).

    It must have seen `trades`; None: as many as it sees.
    """
    waited = [sys.executable, "-S", str(_WAITED), "usage.json", *command]
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        code = _run_to_end(
            subprocess.Popen(waited, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True)
        )
        out.seek(0)
        results = [line for line in out if line.startswith("RESULT ")]
        if code or not results:
            err.seek(0)
            last = (err.read().strip() or "nothing on standard error").splitlines()[-1]
            raise EngineFailed(f"exit code {code}: {last[:300]}")
    said, usage = json.loads(results[-1].removeprefix("RESULT ")), json.loads((folder / "usage.json").read_bytes())
    if trades not in {None, said["trades"]}:
        raise EngineFailed(f"it saw {said['trades']} trades of {trades}")
    trades = said["trades"]
    cpu_s, wall_s = said["cpu_s"], said["wall_s"]
    warm = Span(trades - said["half_trades"], cpu_s - said["half_cpu_s"], wall_s - said["half_wall_s"])
    whole = Span(trades, usage["cpu_s"], usage["wall_s"])
    return Run(whole, Span(trades, cpu_s, wall_s), warm, usage["peak_mb"])


def _run_to_end(process: "subprocess.Popen[bytes]") -> int:
    """Wait for its end, however it comes; what it started ends with it."""
    try:
        return process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise EngineFailed(f"not done within {PATIENCE_S:.0f} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def spread(values: Sequence[float]) -> dict[str, int]:
    """The least, the median and the greatest."""
    return {"min": round(min(values)), "median": round(statistics.median(values)), "max": round(max(values))}
