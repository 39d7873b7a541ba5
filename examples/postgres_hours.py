"""Print a market's hourly candles, and what its data lack, out of PostgreSQL.

pip install asyncpg, then: python postgres_hours.py [URL] [EXCHANGE] [SYMBOL]; the URL of the local stack stands in
.candlewick/stack.json.
"""

import asyncio
import json
import sys
from pathlib import Path

import asyncpg

HOURS = """
SELECT open_time, open, high, low, close, volume, trades, not_complete FROM candles_1h
WHERE exchange = $1 AND symbol = $2 ORDER BY open_time DESC LIMIT 24
"""
GAPS = "SELECT from_time, minutes, kind FROM data_gaps WHERE exchange = $1 AND symbol = $2 ORDER BY from_time"


async def main(url: str, exchange: str = "binance", symbol: str = "BTC-USDT") -> None:
    """Ask and print; amounts are exact decimals."""
    connection = await asyncpg.connect(url)
    try:
        for hour in reversed(await connection.fetch(HOURS, exchange, symbol)):
            print(f"{hour['open_time']:%Y-%m-%d %H:%M}", *(f"{value:f}" for value in hour[1:7]), hour["not_complete"])
        for gap in await connection.fetch(GAPS, exchange, symbol):
            print(f"{gap['minutes']} minutes from {gap['from_time']:%Y-%m-%d %H:%M} on: {gap['kind']}")
    finally:
        await connection.close()


arguments = sys.argv[1:] or [json.loads(Path(".candlewick/stack.json").read_text())["postgres"]]
asyncio.run(main(*arguments))
