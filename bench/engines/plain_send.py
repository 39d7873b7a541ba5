"""What one would write first: the same frames, each decoded, and sent by aiokafka's `send()`. No ledger, no checks.

``plain_send.py TRADES SYMBOLS START_MS``
"""

import asyncio
import sys

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from frames import frames
from result import Result

from runtime.settings import kafka_address, load_settings

_AT_ONCE = 10_000


async def send(trades: int, symbols: int, start_ms: int) -> None:
    """Send all and wait for their acknowledgements."""
    settings, result = load_settings(), Result(trades)
    messages = list(frames(trades, symbols, start_ms))
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_address(settings),
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        linger_ms=10,
        max_batch_size=64 * 1024,
    )
    await producer.start()
    result.begin()
    futures = []
    for message in messages:
        trade = msgspec.json.decode(message)["data"]
        value = msgspec.json.encode(
            {
                "exchange": "binance", "symbol": trade["s"], "trade_id": str(trade["t"]), "price": trade["p"],
                "qty": trade["q"], "side": "sell" if trade["m"] else "buy", "time_us": trade["T"] * 1000,
            }
        )  # fmt: skip
        futures.append(await producer.send(settings.topics.trades, value, key=trade["s"].encode()))
        if len(futures) == _AT_ONCE:
            await asyncio.gather(*futures)
            futures = []
    await asyncio.gather(*futures)
    result.count(trades)
    result.tell()
    await producer.stop()


if __name__ == "__main__":
    uvloop.run(send(*map(int, sys.argv[1:4])))
