"""Which candle, or which trade, comes next to a time or an id in the warm store; by the sorting key, without `FINAL`.

All raise what the client raises (`sinks.clickhouse.connect.clickhouse_errors` translates it).
"""

from typing import NamedTuple

from clickhouse_connect.driver import AsyncClient

from market.key import MarketKey

_NEXT = """
SELECT toUnixTimestamp64Milli(open_time) FROM candles
WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = '1m'
  AND open_time >= fromUnixTimestamp64Milli({time_ms:Int64})
ORDER BY exchange, symbol, timeframe, open_time LIMIT 1
"""
_PREVIOUS = """
SELECT toUnixTimestamp64Milli(open_time) FROM candles
WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = '1m'
  AND open_time < fromUnixTimestamp64Milli({time_ms:Int64})
ORDER BY exchange DESC, symbol DESC, timeframe DESC, open_time DESC LIMIT 1
"""
_TIMES_OF_IDS = """
SELECT toUnixTimestamp64Milli(min(first.time)), toUnixTimestamp64Milli(max(first.time)), count() FROM
(
    SELECT time FROM trades
    WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND id_number >= {from_id:Int64}
    ORDER BY id_number LIMIT {limit:UInt32}
) AS first
"""


class TimesOfIds(NamedTuple):
    """The times of the first trades from an id on, UTC milliseconds, both inclusive."""

    first_ms: int
    last_ms: int


async def read_next_open_ms(client: AsyncClient, market: MarketKey, from_ms: int) -> int | None:
    """The open time of the first 1m candle that opens at or after `from_ms`."""
    return await _open_ms(client, _NEXT, market, from_ms)


async def read_previous_open_ms(client: AsyncClient, market: MarketKey, before_ms: int) -> int | None:
    """The open time of the last 1m candle that opens before `before_ms`."""
    return await _open_ms(client, _PREVIOUS, market, before_ms)


async def read_times_of_ids(client: AsyncClient, market: MarketKey, *, from_id: int, limit: int) -> TimesOfIds | None:
    """When the first `limit` trades with ids from `from_id` on were, copies counted; None without any.

    Trades are not sorted by id alone: the ids of the whole market are looked through, which are small.
    """
    parameters = market._asdict() | {"from_id": from_id, "limit": limit}
    first_ms, last_ms, count = (await client.query(_TIMES_OF_IDS, parameters=parameters)).result_rows[0]
    return TimesOfIds(first_ms, last_ms) if count else None


async def _open_ms(client: AsyncClient, query: str, market: MarketKey, time_ms: int) -> int | None:
    rows = (await client.query(query, parameters=market._asdict() | {"time_ms": time_ms})).result_rows
    return rows[0][0] if rows else None
