"""A running candle engine as a process of its own: its events, its end, its memory."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import EngineFailed
from peers import ENGINES, ROOT

from runtime.settings import Settings, child_environment

PATIENCE_S = 120.0


class Worker:
    """Started at once; `stop` or `kill` it."""

    def __init__(self, settings: Settings, folder: Path, name: str, *, instance_id: str | None = None) -> None:
        self._said = folder / f"{name}-{time.time_ns()}.jsonl"
        self.began_s = time.time()
        command = [sys.executable, str(ENGINES / "candlewick_worker.py"), *([instance_id] if instance_id else [])]
        environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
        with self._said.open("w") as out, self._said.with_suffix(".log").open("w") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=out, stderr=log)

    def events(self, event: str) -> list[dict[str, Any]]:
        """What it has said so far of this kind."""
        lines = self._said.read_text().splitlines()
        return [said for said in map(json.loads, lines) if said["event"] == event]

    def wait_for(self, event: str, partitions: int) -> list[dict[str, Any]]:
        """Until so many partitions have said so."""
        deadline_s = time.time() + PATIENCE_S
        while True:
            found = self.events(event)
            if len({said["partition"] for said in found}) >= partitions:
                return found
            if self._process.poll() is not None:
                raise EngineFailed(f"the worker ended with {self._process.returncode}")
            if time.time() > deadline_s:
                raise EngineFailed(f"no {event} of {partitions} partitions within {PATIENCE_S:.0f} s")
            time.sleep(0.02)

    def stop(self) -> float:
        """By SIGTERM, as Kubernetes does: it commits and leaves. Returns its peak memory in MB."""
        self._process.terminate()
        code = self._process.wait(PATIENCE_S)
        if code:
            raise EngineFailed(f"the worker ended with {code}: see {self._said.with_suffix('.log')}")
        return float(self.events("ended")[-1]["peak_mb"])

    def kill(self) -> None:
        """By SIGKILL; also one that has ended already."""
        self._process.kill()
        self._process.wait()
