"""A record of each kind, as plain JSON values."""

from typing import Any

import orjson

TRADE: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "trade_id": "7", "price": "27000.1", "qty": "0.001", "side": "buy",
    "time_us": 1, "received_us": 2, "source": "ws",
}  # fmt: skip
CANDLE: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "timeframe": "1m", "open_time_ms": 0, "close_time_ms": 59_999,
    "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1", "quote_volume": "1", "trades": 1,
    "taker_buy_volume": "1", "taker_buy_quote_volume": "1", "first_trade_id": "7", "last_trade_id": "7",
    "revision": 1, "status": "complete",
}  # fmt: skip
WINDOW: dict[str, Any] = {
    "minutes": 60, "open": "1", "high": "1", "low": "1", "close": "1", "change": "-1", "change_percent": "-0.5",
    "vwap": "1", "volume": "1", "quote_volume": "1", "taker_buy_volume": "1", "trades": 1, "status": "hole",
    "since_ms": 0, "missing": 1, "taker_buy_share": "0.5", "realised_volatility": "0.001",
}  # fmt: skip
TICKER: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "time_ms": 1, "last": "1", "live": False, "revision": 1,
    "windows": {"1h": WINDOW},
}  # fmt: skip
BAR: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "kind": "dollar", "threshold": "1000000", "series_begin_us": 0,
    "number": 1, "open_time_us": 1, "close_time_us": 2, "open": "1", "high": "1", "low": "1", "close": "1",
    "volume": "1000001", "quote_volume": "1000001", "trades": 2, "taker_buy_volume": "1", "taker_buy_quote_volume": "1",
    "first_trade_id": "7", "last_trade_id": "8", "remainder": "1", "late_trades": 0, "revision": 1,
    "status": "complete",
}  # fmt: skip
SIGNAL: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "kind": "spread", "state": "begin", "severity": "warning",
    "time_ms": 60_000, "revision": 2, "other": "kraken:BTC-USDT", "window_minutes": 1, "values": {"spread_bps": "-1.5"},
}  # fmt: skip
EVENT: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "event": "connected", "at_ms": 1, "first_id": "1",
}  # fmt: skip
PROGRESS: dict[str, Any] = {
    "key": "binance:BTC-USDT", "complete_until_us": 60_000_000, "run": None, "finished": False,
}  # fmt: skip
INSTRUMENT: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "native": "BTCUSDT", "base": "BTC", "quote": "USDT",
    "status": "trading", "tick": "0.01", "lot": "0.00001", "contract": "0.1", "since_ms": 1,
}  # fmt: skip
FUNDING: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT-PERP", "rate": "-0.0001", "kind": "settled", "next_time_ms": 2,
    "mark_price": "27000.1", "time_ms": 1,
}  # fmt: skip
KLINE: dict[str, Any] = {
    "open_time_ms": 0, "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1", "quote_volume": "1",
    "trades": 1, "taker_buy_volume": "1", "taker_buy_quote_volume": "1",
}  # fmt: skip
MARKER = {
    "complete_until_us": b"60000000", "published_until_us": b"60000000", "proof": b"ids", "last_trade_id": b"7",
    "last_price": b"27000.1", "run": b"r1", "end": b"1", "kline": orjson.dumps(KLINE),
}  # fmt: skip
