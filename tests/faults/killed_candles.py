"""The candle engine, killed by SIGKILL as it comes to a step for the N-th time: ``killed_candles.py STEP N [NAME]``.

The steps are the waits of a membership, in their order: joining; of a takeover the fence, the state, the group's offset
and what decides the start; of a transaction its begin, each send, the offset, the acknowledgements and the commit; and
leaving. What lies between two of them is not seen by anyone else. NAME is the static member's.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from candlewick.cli import main
from processors.engine.assigned_partition import AssignedPartition
from processors.engine.state import StoredState
from runtime.kafka import Subscription
from runtime.kafka.transaction import Transaction, TransactionalPublisher

STEPS: dict[str, tuple[type[Any], str, str]] = {
    "before joining": (Subscription, "__aenter__", "before"),
    "after joining": (Subscription, "__aenter__", "after"),
    "at a rebalance": (AssignedPartition, "take_over", "before"),
    "before fencing": (TransactionalPublisher, "__aenter__", "before"),
    "after fencing": (TransactionalPublisher, "__aenter__", "after"),
    "reading state": (StoredState, "take", "after"),
    "before the group's offset": (Subscription, "committed", "before"),
    "after the group's offset": (Subscription, "committed", "after"),
    "before the log's end": (Subscription, "end", "before"),
    "after taking over": (AssignedPartition, "take_over", "after"),
    "after taking records in": (AssignedPartition, "process", "after"),
    "before the transaction": (AIOKafkaProducer, "begin_transaction", "before"),
    "after its begin": (AIOKafkaProducer, "begin_transaction", "after"),
    "before a send": (Transaction, "send", "before"),
    "after some sends": (Transaction, "send", "after"),
    "before the offset": (Transaction, "commit_offset", "before"),
    "after the offset": (Transaction, "commit_offset", "after"),
    "before the acknowledgements": (Transaction, "await_acknowledgements", "before"),
    "before the commit": (AIOKafkaProducer, "commit_transaction", "before"),
    "after the commit": (AIOKafkaProducer, "commit_transaction", "after"),
    "before the release": (AssignedPartition, "release", "before"),
    "after the release": (AssignedPartition, "release", "after"),
}
"""By its name: where it is, and whether to die before or after it. A release comes when another member joins."""


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
    sys.exit(main(["candles", "--instance-id", *(sys.argv[3:] or ["one"])]))
