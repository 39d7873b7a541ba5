"""A broker that is frozen, as by a cut network."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local import stack as local_stack
from runtime.settings import Settings


@contextmanager
def frozen_broker(settings: Settings) -> Iterator[None]:
    """It keeps its connections and answers nothing."""
    processes = {process.name: process for process in local_stack.started(settings.home)}
    pid = processes["kafka-1"].pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
