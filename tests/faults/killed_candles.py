"""The candle engine, killed by SIGKILL as it comes to a step for the N-th time: ``killed_candles.py STEP N``."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from candlewick.cli import main
from processors.candles.owned import OwnedPartition
from processors.candles.state import Stored
from runtime.kafka.transaction import Transaction, TransactionalPublisher

STEPS: dict[str, tuple[type[Any], str, str]] = {
    "before fencing": (TransactionalPublisher, "__aenter__", "before"),
    "after fencing": (TransactionalPublisher, "__aenter__", "after"),
    "reading state": (Stored, "take", "after"),
    "before the transaction": (AIOKafkaProducer, "begin_transaction", "before"),
    "after its begin": (AIOKafkaProducer, "begin_transaction", "after"),
    "after some sends": (Transaction, "send", "after"),
    "before the offset": (Transaction, "commit_offset", "before"),
    "after the offset": (Transaction, "commit_offset", "after"),
    "before the commit": (AIOKafkaProducer, "commit_transaction", "before"),
    "after the commit": (AIOKafkaProducer, "commit_transaction", "after"),
    "after taking records in": (OwnedPartition, "process", "after"),
}


def arm(step: str, left: int) -> None:
    """Make this process die at the step."""
    owner, name, when = STEPS[step]
    original: Callable[..., Any] = getattr(owner, name)
    count = [left]

    def come_by() -> None:
        count[0] -= 1
        if count[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if name in ("take", "process"):

        def plain(*arguments: Any) -> Any:
            result = original(*arguments)
            come_by()
            return result

        setattr(owner, name, plain)
        return

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            come_by()
        result = await original(*arguments, **named)
        if when == "after":
            come_by()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(["candles", "--instance-id", "one"]))
