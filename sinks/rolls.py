"""Asking for open files to be ended: a `roll` record behind what was read, so that every replay cuts there too."""

from collections.abc import Sequence

from market.codec import ROLL_HEADER
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings
from sinks.partition import Partition

_ROLL = Outgoing(b"", None, [(ROLL_HEADER, b"1")])


async def ask_for_rolls(settings: Settings, partitions: Sequence[Partition]) -> None:
    """Write a `roll` to each partition; its end is behind it from now on.

    It is a plain record, outside any transaction: into a candle topic too, where it waits like every reader for the
    engine's open transaction but hides nothing itself.
    """
    async with Publisher(settings) as publisher:
        futures = [
            await publisher.send(partition.tp.topic, _ROLL._replace(partition=partition.tp.partition))
            for partition in partitions
        ]
        acknowledged = await publisher.await_acknowledgements(futures)
    for partition, metadata in zip(partitions, acknowledged, strict=True):
        partition.end = metadata.offset + 1
        partition.roll_asked = True
