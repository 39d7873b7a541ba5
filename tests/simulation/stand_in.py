"""The simulated cluster in the place of aiokafka's clients, and a clock in that of `time`, while a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clients import Cluster

from runtime.kafka import consumer, log, publisher, transaction

Place = tuple[Any, str, Any]
"""A module, a name in it, and what stands there meanwhile."""


@contextmanager
def standing_in(cluster: Cluster, clock: Any, *more: Place) -> Iterator[None]:
    places: list[Place] = [
        (consumer, "AIOKafkaConsumer", cluster.consumer),
        (log, "AIOKafkaConsumer", cluster.consumer),
        (log, "AIOKafkaConsumer", cluster.consumer),
        (log, "time", clock),
        (transaction, "AIOKafkaProducer", cluster.producer),
        (publisher, "AIOKafkaProducer", cluster.producer),
        *more,
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
