"""ccxt's own parsing of the same frames: decoded and handed to its handler of messages, no Kafka.

``ccxt_frames.py TRADES SYMBOLS START_MS``
"""

import asyncio
import sys

import ccxt.pro
import orjson
from frames import frames, natives
from result import Result


async def parse(trades: int, symbols: int, start_ms: int) -> None:
    """What its WebSocket client does with each message."""
    exchange = ccxt.pro.binance()
    exchange.set_markets(
        [
            exchange.safe_market_structure(
                {
                    "id": native, "symbol": f"{native[:-4]}/{native[-4:]}", "base": native[:-4], "quote": native[-4:],
                    "type": "spot", "spot": True, "active": True,
                }
            )
            for native in natives(symbols)
        ]
    )  # fmt: skip
    client = exchange.client("wss://stream.binance.com:9443/stream")
    messages, result = list(frames(trades, symbols, start_ms)), Result(trades)
    result.begin()
    for message in messages:
        exchange.handle_message(client, orjson.loads(message))
    result.count(trades)
    assert sum(len(kept) for kept in exchange.trades.values()) > 0
    result.tell()
    await exchange.close()


if __name__ == "__main__":
    asyncio.run(parse(*map(int, sys.argv[1:4])))
