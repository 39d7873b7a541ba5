"""What ccxt reads of the markets that the test has made, as JSON on the last line."""

import json
import sys
from collections.abc import Callable
from typing import Any

import ccxt
from piece import exchange  # as docs/clients.md makes it

MINUTE, HOUR = 60_000, 3_600_000


def pages(read: Callable[[int], list[Any]], key: Callable[[Any], int], since: int) -> list[Any]:
    """As its users page: from the last row on, until nothing new comes."""
    rows: list[Any] = []
    while new := [row for row in read(since) if not rows or key(row) > key(rows[-1])]:
        rows += new
        since = rows[-1]["timestamp"] if isinstance(new[0], dict) else rows[-1][0] + 1
    return rows


try:
    exchange.fetch_ohlcv("DOGE/USDT")
except ccxt.BadSymbol as error:
    refused = type(error).__name__
day = pages(lambda since: exchange.fetch_ohlcv("BTC/USDT", "1m", since, 1000), lambda row: row[0], 0)
newest = exchange.fetch_trades("ETH/USDT", limit=1000)
since = newest[0]["timestamp"] - 10 * MINUTE
told = {
    "symbols": sorted(exchange.load_markets()),
    "precision": exchange.market("ETH/USDT")["precision"],
    "day": day,
    "hours": exchange.fetch_ohlcv("BTC/USDT", "1h", day[0][0] + 3 * HOUR, 6),
    "newest": exchange.fetch_ohlcv("ETH/USDT", "1m", limit=5),
    "aggregates": newest,
    "trades": exchange.fetch_trades("ETH/USDT", limit=1000, params={"fetchTradesMethod": "publicGetTrades"}),
    "since": pages(lambda since: exchange.fetch_trades("ETH/USDT", since, 1000), lambda row: int(row["id"]), since),
    "ticker": exchange.fetch_ticker("ETH/USDT"),
    "tickers": sorted(exchange.fetch_tickers()),
    "time": exchange.fetch_time(),
    "refused": refused,
}
sys.stdout.write(json.dumps(told))
