"""A flow through the pipeline: a paced producer and a reader of the candles, both processes of their own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from pace import Pace
from peers import ROOT

from runtime.settings import Settings, child_environment, kafka_address

SETTLE_S = 10.0
"""What was sent last has so long to come out."""
HERE = Path(__file__).parent


class Seen(NamedTuple):
    """A candle as the reader noted it."""

    at_s: float
    partition: int
    key: str
    open_time_ms: int
    status: str


@dataclass
class Flow:
    """What was sent and seen; both are filled when the flow has ended."""

    sent: dict[str, float] = field(default_factory=dict)
    """When each marker was sent, by ``<key> <open_time_ms>``."""
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def flow(settings: Settings, folder: Path, pace: Pace) -> Iterator[Flow]:
    """Let it flow while the context lasts; the engine must run on until it is over."""
    result = Flow()
    wanted, noted = folder / "pace.json", folder / "seen.json"
    wanted.write_text(json.dumps(asdict(pace)))
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    reading = [sys.executable, str(HERE / "watch.py"), kafka_address(settings), settings.topics.candles(), str(noted)]
    reader = subprocess.Popen(reading, env=environment, stdout=subprocess.PIPE, text=True)
    producer = None
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n", "the reader did not start"
        producer = subprocess.Popen([sys.executable, str(HERE / "pace.py"), str(wanted)], env=environment)
        yield result
    finally:
        if producer is not None:
            producer.terminate()
            producer.wait()
            time.sleep(SETTLE_S)
        reader.terminate()
        reader.wait()
    result.sent = json.loads(wanted.with_suffix(".sent").read_text())
    result.seen = [Seen(*row) for row in json.loads(noted.read_text())]
