"""A reader of committed candles, as a process of its own; it notes when each could be read.

``watch.py KAFKA TOPIC FILE``; by SIGTERM it ends and writes ``[[at_s, partition, key, open_time_ms, status], …]``.
"""

import json
import signal
import sys
import time
from pathlib import Path

import orjson
from confluent_kafka import OFFSET_END, Consumer, TopicPartition


def watch(kafka: str, topic: str) -> list[tuple[float, int, str, int, str]]:
    """What came from now on, until a signal."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "bench-watch",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_END) for partition in partitions])
    seen: list[tuple[float, int, bytes]] = []
    print("ready", flush=True)
    while not ended:
        message = consumer.poll(0.05)
        if message is None or message.error():
            continue
        seen.append((time.time(), message.partition() or 0, message.value() or b"{}"))
    consumer.close()
    candles = ((at_s, partition, orjson.loads(value)) for at_s, partition, value in seen)
    return [
        (at_s, partition, f"{candle['exchange']}:{candle['symbol']}", candle["open_time_ms"], candle["status"])
        for at_s, partition, candle in candles
    ]


if __name__ == "__main__":
    kafka, topic, file = sys.argv[1:4]
    Path(file).write_text(json.dumps(watch(kafka, topic)))
