"""cryptofeed's own parsing of the same frames, named as the ``aggTrade`` that it knows: no ledger, no Kafka.

``cryptofeed_frames.py TRADES SYMBOLS START_MS``
"""

import asyncio
import sys
from typing import Any

from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from frames import frames, natives
from result import Result


async def parse(trades: int, symbols: int, start_ms: int) -> None:
    """What its connection does with each message, and a callback that counts."""
    names = {f"{native[:-4]}-{native[-4:]}": native for native in natives(symbols)}
    Symbols.set("BINANCE", names, {"instrument_type": dict.fromkeys(names, "spot")})
    result = Result(trades)

    async def counted(*_: Any) -> None:
        result.count()

    feed = Binance(symbols=list(names), channels=[TRADES], callbacks={TRADES: counted})
    messages = [
        frame.replace(b"@trade", b"@aggTrade", 1).replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')
        for frame in frames(trades, symbols, start_ms)
    ]
    result.begin()
    for message in messages:
        await feed.message_handler(message.decode(), None, start_ms / 1000)
    result.tell()


if __name__ == "__main__":
    asyncio.run(parse(*map(int, sys.argv[1:4])))
