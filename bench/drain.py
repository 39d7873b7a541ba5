"""The limit: aiokafka's `getmany` over the whole topic, nothing parsed. ``drain.py KAFKA TOPIC``."""

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaConsumer


async def drain(kafka: str, topic: str) -> None:
    """Read every record once."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 20
    )
    await consumer.start()
    ends = await consumer.end_offsets(list(consumer.assignment()))
    got = 0
    while got < sum(ends.values()):
        got += sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=10_000)).values()))
    await consumer.stop()
    await asyncio.sleep(0)


if __name__ == "__main__":
    uvloop.run(drain(*sys.argv[1:]))
