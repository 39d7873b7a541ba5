"""Reading the hot store."""

from typing import Any

from market.candle import Candle, trade_order
from market.codec import decode_candle, decode_ticker, decode_trade
from market.ticker import Ticker
from market.trade import Trade
from sinks.redis.keys import candles_key, live_key, ticker_key, trades_data_key, trades_key


async def read_candles(
    client: Any, prefix: str, key: str, *, from_ms: int, until_ms: int, timeframe: str = "1m"
) -> list[Candle]:
    """Recent candles that open in [from_ms, until_ms), oldest first; `key` is ``exchange:SYMBOL``."""
    found = await client.zrangebyscore(candles_key(prefix, key, timeframe), from_ms, f"({until_ms}")
    return [decode_candle(value) for value in found]


async def read_newest_candle(client: Any, prefix: str, key: str, *, timeframe: str = "1m") -> Candle | None:
    """The closed candle that opens last."""
    found = await client.zrevrange(candles_key(prefix, key, timeframe), 0, 0)
    return decode_candle(found[0]) if found else None


async def read_live(client: Any, prefix: str, key: str) -> Candle | None:
    """The open candle."""
    value = await client.get(live_key(prefix, key))
    return None if value is None else decode_candle(value)


async def read_trades(client: Any, prefix: str, key: str, *, limit: int) -> list[Trade]:
    """The latest trades, newest first; which trades of the oldest time are among them, their ids decide."""
    members = await client.zrevrange(trades_key(prefix, key), 0, limit - 1)
    values = await client.hmget(trades_data_key(prefix, key), members) if members else []
    return sorted((decode_trade(value) for value in values if value is not None), key=trade_order, reverse=True)


async def read_ticker(client: Any, prefix: str, key: str) -> Ticker | None:
    """The newest ticker."""
    value = await client.get(ticker_key(prefix, key))
    return None if value is None else decode_ticker(value)
