"""What python-binance reads of the markets that the test has made, as JSON on the last line."""

import json
import sys

from binance.exceptions import BinanceAPIException
from piece import client  # as docs/clients.md makes it

client.ping()
recent = client.get_recent_trades(symbol="ETHUSDT", limit=1000)
try:
    client.get_klines(symbol="DOGEUSDT", interval="1m")
except BinanceAPIException as error:
    refused = [error.status_code, error.code, error.message]
told = {
    "symbols": [each["symbol"] for each in client.get_exchange_info()["symbols"]],
    "day": client.get_historical_klines("BTCUSDT", "1m", "2020-01-01"),
    "hours": client.get_historical_klines("BTCUSDT", "1h", "2024-05-01 03:00", "2024-05-01 08:59"),
    "newest": client.get_klines(symbol="ETHUSDT", interval="1m", limit=5),
    "ui": client.get_ui_klines(symbol="ETHUSDT", interval="5m", limit=5),
    "recent": recent,
    "old": client.get_historical_trades(symbol="ETHUSDT", fromId=recent[0]["id"] - 10, limit=500),
    "aggregates": list(client.aggregate_trade_iter("ETHUSDT")),
    "ticker": client.get_ticker(symbol="ETHUSDT"),
    "price": client.get_symbol_ticker(symbol="ETHUSDT"),
    "prices": client.get_all_tickers(),
    "time": client.get_server_time()["serverTime"],
    "refused": refused,
}
sys.stdout.write(json.dumps(told))
