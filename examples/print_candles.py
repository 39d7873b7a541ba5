"""Print closed 1m candles as they come: an outside consumer that needs nothing of ours but the topic.

pip install confluent-kafka, then: python print_candles.py [HOST:PORT] [TOPIC]
"""

import json
import sys

from confluent_kafka import Consumer

servers, topic, *_ = [*sys.argv[1:], *["127.0.0.1:9092", "md.candles.1m.v1"][len(sys.argv) - 1 :]]
consumer = Consumer(
    {
        "bootstrap.servers": servers,
        "group.id": "print-candles",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",  # candles are written in transactions
    }
)
consumer.subscribe([topic])
try:
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if record.error():
            sys.exit(f"Kafka: {record.error()}")
        if record.value() is None:  # not a candle
            continue
        candle = json.loads(record.value())  # amounts are decimal strings; a higher revision replaces a lower
        print(candle["symbol"], candle["open_time_ms"], candle["close"], candle["volume"], candle["status"], flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
