"""``candlewick`` as a person calls it, with a stack of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
ANY_PORTS = {"CANDLEWICK_KAFKA_PORT": "0", "CANDLEWICK_REDIS_PORT": "0", "CANDLEWICK_CLICKHOUSE_PORT": "0"}


def candlewick(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One call to its end; it never answers with a traceback."""
    command = [sys.executable, "-m", "candlewick", *words]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr
    return done


@contextmanager
def own_stack(home: Path) -> Iterator[Run]:
    """The command with a home of its own, whose servers end with the block."""
    environment = ANY_PORTS | {"CANDLEWICK_HOME": str(home), "CANDLEWICK_PARTITIONS": "1"}
    try:
        yield lambda *words, **more: candlewick(*words, **(environment | more))
    finally:
        candlewick("stack", "down", CANDLEWICK_HOME=str(home))
