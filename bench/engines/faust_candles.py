"""Plain faust: a dict of open candles, emitted when the partition's next minute begins; nothing survives a restart.

``faust_candles.py KAFKA INPUT OUTPUT TRADES RECORDS``
"""

import os
import sys
from decimal import Decimal

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402  # the loop is chosen before faust is loaded
import orjson  # noqa: E402
from candle import Candle, encoded  # noqa: E402
from result import Result  # noqa: E402

kafka, source, output, trades = sys.argv[1:5]
result = Result(int(trades))
app = faust.App(
    output,
    broker=f"kafka://{kafka}",
    store="memory://",
    datadir="faust",
    topic_partitions=4,
    topic_disable_leader=True,
    stream_wait_empty=False,
    stream_buffer_maxsize=16_384,
    broker_max_poll_records=10_000,
    consumer_max_fetch_size=4 << 20,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=1.0,
    producer_linger=0.05,
    web_enabled=False,
)
trades_topic = app.topic(source, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
candles_topic = app.topic(output, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


@app.agent(trades_topic)
async def fold(stream: "faust.StreamT[bytes]") -> None:
    """Each partition is in time order: its minute is over when the next one begins."""
    minutes: dict[int, int] = {}
    open_candles: dict[int, dict[bytes, Candle]] = {}
    async for event in stream.events():
        if event.value is None:
            continue
        result.count()
        trade, key, partition = orjson.loads(event.value), event.key, event.message.partition
        minute = trade["time_us"] // 60_000_000
        if minutes.get(partition) != minute:
            for done, candle in open_candles.get(partition, {}).items():
                await candles_topic.send(key=done, value=encoded(candle, done.decode(), minutes[partition] * 60_000))
            minutes[partition], open_candles[partition] = minute, {}
        price, qty = Decimal(trade["price"]), Decimal(trade["qty"])
        candle = open_candles[partition].get(key)
        if candle is None:
            candle = open_candles[partition][key] = Candle(price)
        candle.add(price, qty, trade["side"])
        if result.trades == int(trades):
            await app.producer.flush()
            await app.consumer.commit()
            result.tell()
            os._exit(0)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    app.main()
