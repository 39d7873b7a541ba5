"""Reading the warm store: always by data key, each key once."""

from typing import Any

_CANDLES = """
SELECT * FROM candles FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = {timeframe:String}
  AND open_time >= fromUnixTimestamp64Milli({from_ms:Int64}) AND open_time < fromUnixTimestamp64Milli({until_ms:Int64})
ORDER BY open_time
"""
_TRADES = """
WITH match(trade_id, '^(0|[1-9][0-9]{0,17})$') AS is_number
SELECT * FROM trades FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC, is_number, if(is_number, toInt64OrZero(trade_id), ifNull(seq, -1)) DESC, trade_id DESC
LIMIT {limit:UInt32}
"""  # the order of market.candle.trade_order, backwards
_TICKER = """
SELECT * FROM tickers FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC LIMIT 1 BY window
"""


async def read_candles(
    client: Any, exchange: str, symbol: str, *, from_ms: int, until_ms: int, timeframe: str = "1m"
) -> list[dict[str, Any]]:
    """Candles that open in [from_ms, until_ms), oldest first: column → value, decimals exact."""
    parameters = {
        "exchange": exchange, "symbol": symbol, "timeframe": timeframe, "from_ms": from_ms, "until_ms": until_ms,
    }  # fmt: skip
    return list((await client.query(_CANDLES, parameters=parameters)).named_results())


async def read_trades(client: Any, exchange: str, symbol: str, *, limit: int) -> list[dict[str, Any]]:
    """The latest trades, newest first: column → value, decimals exact."""
    parameters = {"exchange": exchange, "symbol": symbol, "limit": limit}
    return list((await client.query(_TRADES, parameters=parameters)).named_results())


async def read_ticker(client: Any, exchange: str, symbol: str) -> list[dict[str, Any]]:
    """The newest ticker, one row a window."""
    parameters = {"exchange": exchange, "symbol": symbol}
    return list((await client.query(_TICKER, parameters=parameters)).named_results())
