"""The limit: aiokafka's `getmany` over the whole topic, nothing parsed.

``drain.py KAFKA INPUT OUTPUT TRADES RECORDS``
"""

import sys

import uvloop
from aiokafka import AIOKafkaConsumer
from result import Result


async def drain(kafka: str, topic: str, trades: int, records: int) -> None:
    """Read every record once."""
    result = Result(trades)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 20
    )
    result.begin()
    await consumer.start()
    ends = await consumer.end_offsets(list(consumer.assignment()))
    end = sum(ends.values())
    while result.trades < end:
        result.count(sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=10_000)).values())))
    result.tell(markers=records - trades)
    await consumer.stop()


if __name__ == "__main__":
    kafka, source, _, trades, records = sys.argv[1:6]
    uvloop.run(drain(kafka, source, int(trades), int(records)))
