"""What the stack knows of each of its servers."""

import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.process import ServerProcess

Progress = Callable[[str], None]
"""Told one sentence for each thing that is done."""

ASK_S = 2.0
"""How long a server may take to answer the question whether it is there."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that `up` starts."""

    process: ServerProcess
    address: str
    prepare: Callable[[Progress], Sequence[str]]
    """Make its folder ready; returns the command that starts it."""
    answers: Callable[[], bool]
    start_s: float
    """How long it may take to answer, recovery after a kill included."""


def process_of(home: Path, name: str) -> ServerProcess:
    """The process `name` of the stack in `home`."""
    return ServerProcess(name, home / "run" / f"{name}.pid", home / "logs" / f"{name}.log")


def http_ok(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:  # noqa: S310  # our own http address
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False
