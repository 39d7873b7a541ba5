"""Reading the hot store's values as they stand, for answers that are made of them without decoding.

All raise what the client raises (`sinks.redis.connect.redis_errors` translates it). A value has the bytes of its
topic's record: the sink writes what the codec encodes.
"""

from typing import NamedTuple, cast

from market.key import MarketKey
from market.timeframe import Timeframe
from sinks.redis.connect import HotClient
from sinks.redis.keys import candles_key, ticker_key, trades_data_key, trades_key


class TradeValue(NamedTuple):
    """A trade's id, a number where it is one, and its record."""

    trade_id: int | str
    value: bytes


async def read_candle_values(
    client: HotClient, prefix: str, market: MarketKey, timeframe: Timeframe, *, limit: int
) -> list[bytes]:
    """The newest closed candles, oldest first; each opens at another time."""
    return cast("list[bytes]", await client.zrange(candles_key(prefix, str(market), timeframe), -limit, -1))


async def read_trade_values(client: HotClient, prefix: str, market: MarketKey, *, limit: int) -> list[TradeValue]:
    """The latest trades, newest first; the keys' order is `market.candle.trade_order`, but for `seq`."""
    members = cast("list[bytes]", await client.zrevrange(trades_key(prefix, str(market)), 0, limit - 1))
    if not members:
        return []
    values = cast("list[bytes | None]", await client.hmget(trades_data_key(prefix, str(market)), members))
    return [TradeValue(_id_of(member), value) for member, value in zip(members, values, strict=True) if value]


async def read_ticker_value(client: HotClient, prefix: str, market: MarketKey) -> bytes | None:
    """The newest ticker."""
    return cast("bytes | None", await client.get(ticker_key(prefix, str(market))))


def _id_of(member: bytes) -> int | str:
    """The id in a member that `sinks.redis.trades.trade_member` made."""
    text = member.decode()
    return int(text[3:]) if text[0] == "0" else text[1:]
