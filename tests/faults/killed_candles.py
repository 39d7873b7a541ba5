"""The candle engine, killed by SIGKILL as it comes to a step for the N-th time: ``killed_candles.py STEP N [NAME]``.

The steps are the waits of a membership, in their order: joining; of a takeover the fence, the state, the group's offset
and what decides the start; of a transaction its begin, each send, the offset, the acknowledgements and the commit; and
leaving. What lies between two of them is not seen by anyone else. NAME is the static member's.
"""

import sys

from aiokafka import AIOKafkaProducer
from kill_points import KillPoint, Moment, arm

from candlewick.cli import main
from processors.engine.assigned_partition import AssignedPartition
from processors.engine.state import StoredState
from runtime.kafka import Subscription
from runtime.kafka.transaction import Transaction, TransactionalPublisher

STEPS: dict[str, KillPoint] = {
    "before joining": KillPoint(Subscription, "__aenter__", Moment.BEFORE),
    "after joining": KillPoint(Subscription, "__aenter__", Moment.AFTER),
    "at a rebalance": KillPoint(AssignedPartition, "take_over", Moment.BEFORE),
    "before fencing": KillPoint(TransactionalPublisher, "__aenter__", Moment.BEFORE),
    "after fencing": KillPoint(TransactionalPublisher, "__aenter__", Moment.AFTER),
    "reading state": KillPoint(StoredState, "take", Moment.AFTER),
    "before the group's offset": KillPoint(Subscription, "committed", Moment.BEFORE),
    "after the group's offset": KillPoint(Subscription, "committed", Moment.AFTER),
    "before the log's end": KillPoint(Subscription, "end", Moment.BEFORE),
    "after taking over": KillPoint(AssignedPartition, "take_over", Moment.AFTER),
    "after taking records in": KillPoint(AssignedPartition, "process", Moment.AFTER),
    "before the transaction": KillPoint(AIOKafkaProducer, "begin_transaction", Moment.BEFORE),
    "after its begin": KillPoint(AIOKafkaProducer, "begin_transaction", Moment.AFTER),
    "before a send": KillPoint(Transaction, "send", Moment.BEFORE),
    "after some sends": KillPoint(Transaction, "send", Moment.AFTER),
    "before the offset": KillPoint(Transaction, "commit_offset", Moment.BEFORE),
    "after the offset": KillPoint(Transaction, "commit_offset", Moment.AFTER),
    "before the acknowledgements": KillPoint(Transaction, "await_acknowledgements", Moment.BEFORE),
    "before the commit": KillPoint(AIOKafkaProducer, "commit_transaction", Moment.BEFORE),
    "after the commit": KillPoint(AIOKafkaProducer, "commit_transaction", Moment.AFTER),
    "before the release": KillPoint(AssignedPartition, "release", Moment.BEFORE),
    "after the release": KillPoint(AssignedPartition, "release", Moment.AFTER),
}
"""By its name. A release comes when another member joins."""


if __name__ == "__main__":
    arm(STEPS[sys.argv[1]], int(sys.argv[2]))
    sys.exit(main(["candles", "--instance-id", *(sys.argv[3:] or ["one"])]))
