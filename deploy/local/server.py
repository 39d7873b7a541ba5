"""What the stack knows of each of its servers."""

import re
import signal
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.process import ServerProcess

Progress = Callable[[str], None]
"""Told one sentence for each thing that is done."""

ASK_S = 2.0
"""How long a server may take to answer the question whether it is there."""
_STOP_SIGNALS = {"postgres": signal.SIGINT}
"""Told to end by SIGTERM, PostgreSQL would wait until every client has left."""


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
    stop_signal = _STOP_SIGNALS.get(name, signal.SIGTERM)
    return ServerProcess(name, home / "run" / f"{name}.pid", home / "logs" / f"{name}.log", stop_signal)


def masked(address: str) -> str:
    """The address without its password."""
    return re.sub(r"(?<=://)([^/@]*):[^/]*@", r"\1:***@", address)


def http_ok(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:  # noqa: S310  # our own http address
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False
