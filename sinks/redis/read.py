"""Reading the hot store.

All raise what the client raises (`sinks.redis.connect.redis_errors` translates it), and `MalformedError` for a value
that is not ours.
"""

from collections.abc import Sequence
from typing import cast

from market.candle import Candle, trade_order
from market.codec import decode_candle, decode_ticker, decode_trade
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import Timeframe
from market.trade import Trade
from sinks.redis.calls import Call
from sinks.redis.connect import HotClient
from sinks.redis.keys import candles_key, live_key, market_of, markets_pattern, ticker_key, trades_data_key, trades_key
from sinks.redis.scripts import Script

_TRADES = Script("read_trades.lua")
_SCANNED = 1000
"""How many keys Redis looks at in one go; in between it answers other clients."""


async def read_candle_values(
    client: HotClient,
    prefix: str,
    market: MarketKey,
    *,
    from_ms: int,
    until_ms: int,
    timeframe: Timeframe = Timeframe.M1,
) -> list[bytes]:
    """Recent candles that open in [from_ms, until_ms), oldest first, as their topic's JSON."""
    key = candles_key(prefix, str(market), timeframe)
    return cast("list[bytes]", await client.zrangebyscore(key, from_ms, f"({until_ms}"))


async def read_newest_candle_values(
    client: HotClient, prefix: str, market: MarketKey, timeframe: Timeframe, *, limit: int
) -> list[bytes]:
    """The closed candles that open last, oldest first, as their topic's JSON; each opens at another time."""
    return cast("list[bytes]", await client.zrange(candles_key(prefix, str(market), timeframe), -limit, -1))


async def read_newest_candle(
    client: HotClient, prefix: str, market: MarketKey, *, timeframe: Timeframe = Timeframe.M1
) -> Candle | None:
    """The closed candle that opens last."""
    values = cast("list[bytes]", await client.zrevrange(candles_key(prefix, str(market), timeframe), 0, 0))
    return decode_candle(values[0]) if values else None


async def read_oldest_ms(
    client: HotClient, prefix: str, asked: Sequence[tuple[MarketKey, Timeframe]]
) -> list[int | None]:
    """The open time of the oldest candle of each of these; None where none is held. One request for all."""
    pipe = client.pipeline(transaction=False)
    for market, timeframe in asked:
        pipe.zrange(candles_key(prefix, str(market), timeframe), 0, 0, withscores=True)
    return [int(held[0][1]) if held else None for held in await pipe.execute()]


async def read_live(client: HotClient, prefix: str, market: MarketKey) -> Candle | None:
    """The open candle."""
    value = cast("bytes | None", await client.get(live_key(prefix, str(market))))
    return None if value is None else decode_candle(value)


async def read_trade_values(client: HotClient, prefix: str, market: MarketKey, *, limit: int) -> list[bytes]:
    """The latest trades as their topic's JSON, newest first; of one time those with the greater ids first.

    If not all trades of the oldest time fit in, their ids decide which do.
    """
    keys = (trades_key(prefix, str(market)), trades_data_key(prefix, str(market)))
    [text] = await _TRADES.call(client, [Call(keys, (limit,))])
    return cast("bytes", text).split(b"\n") if text else []


async def read_trades(client: HotClient, prefix: str, market: MarketKey, *, limit: int) -> list[Trade]:
    """The latest trades, newest first; if not all trades of the oldest time fit in, their ids decide which do."""
    values = await read_trade_values(client, prefix, market, limit=limit)
    return sorted(map(decode_trade, values), key=trade_order, reverse=True)


async def read_ticker_value(client: HotClient, prefix: str, market: MarketKey) -> bytes | None:
    """The newest ticker as its topic's JSON."""
    return cast("bytes | None", await client.get(ticker_key(prefix, str(market))))


async def read_ticker(client: HotClient, prefix: str, market: MarketKey) -> Ticker | None:
    """The newest ticker."""
    value = await read_ticker_value(client, prefix, market)
    return None if value is None else decode_ticker(value)


async def is_market_held(client: HotClient, prefix: str, market: MarketKey) -> bool:
    """Whether Redis has anything of a market: trades, an open candle, closed 1m candles or a ticker."""
    key = str(market)
    keys = (
        trades_key(prefix, key),
        live_key(prefix, key),
        candles_key(prefix, key, Timeframe.M1),
        ticker_key(prefix, key),
    )
    return bool(await client.exists(*keys))


async def read_markets(client: HotClient, prefix: str, *, most: int) -> set[MarketKey]:
    """The markets with closed 1m candles, at most `most`; Redis looks at every key of the database."""
    markets: set[MarketKey] = set()
    async for key in client.scan_iter(match=markets_pattern(prefix), count=_SCANNED):
        market = market_of(cast("bytes", key))
        if market is not None:
            markets.add(market)
        if len(markets) >= most:
            break
    return markets
