"""Candles out of the warm store, as their topic's JSON, which ClickHouse writes: nothing is decoded on the way.

All raise what the client raises (`sinks.clickhouse.connect.clickhouse_errors` translates it).
"""

from collections.abc import Sequence

from clickhouse_connect.driver import AsyncClient

from market.key import MarketKey
from sinks.clickhouse.json_form import JSON_FORM

_SPAN = """
WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = '1m'
  AND open_time >= fromUnixTimestamp64Milli({from_ms:Int64}) AND open_time < fromUnixTimestamp64Milli({until_ms:Int64})
  AND arrayExists(
    (a, b) -> toUnixTimestamp64Milli(open_time) >= a AND toUnixTimestamp64Milli(open_time) < b,
    {from_each:Array(Int64)}, {until_each:Array(Int64)})
"""
_COLUMNS = """
SELECT exchange, symbol, timeframe, toUnixTimestamp64Milli(c.open_time) AS open_time_ms,
    toUnixTimestamp64Milli(c.close_time) AS close_time_ms, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume, taker_buy_quote_volume, first_trade_id, last_trade_id, revision, status
FROM candles AS c"""
_MINUTES = _COLUMNS + " FINAL" + _SPAN + "ORDER BY c.open_time"
# What is merged already is gone: the least that is left.
_FIRST_MINUTES = _COLUMNS + _SPAN + "ORDER BY c.open_time, revision LIMIT 1 BY c.open_time"
_WINDOWS = """
WITH ['complete', 'connected', 'kline', 'hole'] AS best_first
SELECT {exchange:String} AS exchange, {symbol:String} AS symbol, {name:String} AS timeframe,
    OPENED AS open_time_ms, ENDED - 1 AS close_time_ms,
    argMin(c.open, c.open_time) AS open, max(c.high) AS high, min(c.low) AS low, argMax(c.close, c.open_time) AS close,
    sum(c.volume) AS volume, sum(c.quote_volume) AS quote_volume, sum(c.trades) AS trades,
    sum(c.taker_buy_volume) AS taker_buy_volume, sum(c.taker_buy_quote_volume) AS taker_buy_quote_volume,
    argMin(c.first_trade_id, c.open_time) AS first_trade_id, argMax(c.last_trade_id, c.open_time) AS last_trade_id,
    max(c.revision) AS revision, best_first[max(indexOf(best_first, c.status))] AS status, count() AS minutes_covered
FROM candles AS c FINAL
WHERE c.exchange = {exchange:String} AND c.symbol = {symbol:String} AND c.timeframe = '1m'
  AND c.open_time >= fromUnixTimestamp64Milli({from_ms:Int64})
  AND c.open_time < fromUnixTimestamp64Milli({until_ms:Int64})
GROUP BY GROUPED AS window_number ORDER BY open_time_ms
"""
_BY_LENGTH = (
    _WINDOWS.replace("OPENED", "toInt64(window_number * {length_ms:Int64} + {anchor_ms:Int64})")
    .replace("ENDED", "toInt64((window_number + 1) * {length_ms:Int64} + {anchor_ms:Int64})")
    .replace("GROUPED", "intDiv(toUnixTimestamp64Milli(c.open_time) - {anchor_ms:Int64}, {length_ms:Int64})")
)
_MONTH_MS = (
    "toInt64(toUnixTimestamp(toDateTime(addMonths(toDate32('1970-01-01'), {}), 'UTC'))) * 1000 - {{offset_ms:Int64}}"
)
_BY_MONTHS = (
    _WINDOWS.replace("OPENED", _MONTH_MS.format("window_number * {months:Int64}"))
    .replace("ENDED", _MONTH_MS.format("(window_number + 1) * {months:Int64}"))
    .replace("GROUPED", "intDiv(dateDiff('month', toDate32('1970-01-01'), LOCAL, 'UTC'), {months:Int64})")
    .replace("LOCAL", "c.open_time + toIntervalMillisecond({offset_ms:Int64})")
)
_SPANS = """
SELECT toUnixTimestamp64Milli(min(open_time)), toUnixTimestamp64Milli(max(open_time)) FROM candles
GROUP BY toYYYYMM(open_time)
"""  # of the parts' own bounds: no row is read


async def read_minutes(
    client: AsyncClient, market: MarketKey, spans: Sequence[tuple[int, int]], *, is_first: bool = False
) -> list[bytes]:
    """The 1m candles that open in these spans, [from, until) in UTC milliseconds, which are in order; oldest first.

    Of each the newest revision, or the first that is left.
    """
    froms, untils = [from_ms for from_ms, _ in spans], [until_ms for _, until_ms in spans]
    query = _FIRST_MINUTES if is_first else _MINUTES
    return await _lines(
        client, query, market, from_ms=froms[0], until_ms=untils[-1], from_each=froms, until_each=untils
    )


async def read_windows(
    client: AsyncClient, market: MarketKey, *, name: str, length_ms: int, anchor_ms: int, from_ms: int, until_ms: int
) -> list[bytes]:
    """Candles `name` of `length_ms`, counted from `anchor_ms`, of the newest 1m candles; `minutes_covered` is added.

    Whole windows: `from_ms` and `until_ms` are where windows open, and lie behind the anchor.
    """
    return await _lines(
        client,
        _BY_LENGTH,
        market,
        name=name,
        length_ms=length_ms,
        anchor_ms=anchor_ms,
        from_ms=from_ms,
        until_ms=until_ms,
    )


async def read_windows_of_months(
    client: AsyncClient, market: MarketKey, *, name: str, months: int, offset_ms: int, from_ms: int, until_ms: int
) -> list[bytes]:
    """As `read_windows`, of so many months, counted from January 1970 in a zone `offset_ms` ahead of UTC."""
    return await _lines(
        client, _BY_MONTHS, market, name=name, months=months, offset_ms=offset_ms, from_ms=from_ms, until_ms=until_ms
    )


async def read_candle_spans(client: AsyncClient) -> list[tuple[int, int]]:
    """Open times, in UTC milliseconds, of the first and the last candle of any market, month by month."""
    return [(first, last) for first, last in (await client.query(_SPANS)).result_rows]


async def _lines(
    client: AsyncClient, query: str, market: MarketKey, **parameters: str | int | list[int]
) -> list[bytes]:
    answer = await client.raw_query(
        query, parameters=market._asdict() | parameters, settings=JSON_FORM, fmt="JSONEachRow"
    )
    return answer.splitlines()
