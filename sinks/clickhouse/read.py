"""Reading the warm store: always by data key, each key once.

All raise what the client raises (`sinks.clickhouse.connect.clickhouse_errors` translates it), and `MalformedError`
for a row that is not ours.
"""

from typing import Any

from clickhouse_connect.driver import AsyncClient

from market.key import MarketKey
from market.ticker import Ticker
from market.trade import Trade
from sinks.decode import StoredRow, decode_trade_row
from sinks.decode_ticker import decode_ticker_rows

_TRADES = """
SELECT exchange, symbol, trade_id, price, qty, side, time, received, source, seq FROM trades FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC, id_number >= 0, if(id_number >= 0, id_number, ifNull(seq, -1)) DESC, id_text DESC
LIMIT {limit:UInt32}
"""  # the order of market.candle.trade_order, backwards
_TICKER = """
SELECT * FROM tickers FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC LIMIT 1 BY window
"""
_IS_HELD = """
SELECT 1 FROM candles WHERE exchange = {exchange:String} AND symbol = {symbol:String} LIMIT 1
UNION ALL
SELECT 1 FROM trades WHERE exchange = {exchange:String} AND symbol = {symbol:String} LIMIT 1
"""
_MARKETS = "SELECT DISTINCT exchange, symbol FROM candles LIMIT {most:UInt32}"
_AS_FAR_AS_TIME_ALLOWS = {"max_execution_time": 2, "timeout_overflow_mode": "break"}


async def read_trades(client: AsyncClient, market: MarketKey, *, limit: int) -> list[Trade]:
    """The latest trades, newest first."""
    return [decode_trade_row(row) for row in await _rows(client, _TRADES, market, limit=limit)]


async def read_ticker(client: AsyncClient, market: MarketKey) -> Ticker | None:
    """The newest ticker."""
    return decode_ticker_rows(await _rows(client, _TICKER, market))


async def is_market_held(client: AsyncClient, market: MarketKey) -> bool:
    """Whether there is any candle or trade of a market."""
    return bool(await _rows(client, _IS_HELD, market))


async def read_markets(client: AsyncClient, *, most: int) -> set[MarketKey]:
    """The markets with candles: at most `most`, and only those that are read within two seconds."""
    answer = await client.query(_MARKETS, parameters={"most": most}, settings=_AS_FAR_AS_TIME_ALLOWS)
    return {MarketKey(exchange, symbol) for exchange, symbol in answer.result_rows}


async def _rows(client: AsyncClient, query: str, market: MarketKey, **parameters: Any) -> list[StoredRow]:
    answer = await client.query(query, parameters=market._asdict() | parameters)
    return list(answer.named_results())
