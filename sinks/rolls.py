"""Asks to end open files: writes a `roll` record after what was read, so that every replay ends the files there."""

from collections.abc import Sequence

from market.codec import ROLL_HEADER
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings
from sinks.partition import Partition

_ROLL = Outgoing(b"", None, [(ROLL_HEADER, b"1")])


async def ask_for_rolls(settings: Settings, partitions: Sequence[Partition]) -> None:
    """Write a `roll` to each partition, and move the partition's end to after the `roll`.

    A `roll` is a plain record, outside any transaction. In a candle topic it can be read once the engine's open
    transaction ends, like any record after one; the `roll` itself delays no other record.
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
