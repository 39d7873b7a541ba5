"""Reading PostgreSQL: each key is there once.

All raise what the client raises (`sinks.postgres.connect.postgres_errors` translates it), and `MalformedError` for a
row that is not ours.
"""

from typing import Any

from market.candle import Candle
from market.key import MarketKey
from market.ticker import Ticker
from market.timeframe import Timeframe
from market.trade import Trade
from sinks.decode import decode_candle_row, decode_trade_row
from sinks.decode_ticker import decode_ticker_rows
from sinks.postgres.connect import Pool

_CANDLES = """
SELECT * FROM candles
WHERE exchange = $1 AND symbol = $2 AND timeframe = $3
  AND open_time >= timestamptz 'epoch' + $4 * interval '1 millisecond'
  AND open_time < timestamptz 'epoch' + $5 * interval '1 millisecond'
ORDER BY open_time
"""
_TRADES = """
SELECT * FROM trades, LATERAL (SELECT trade_id ~ '^(0|[1-9][0-9]{0,17})$' AS is_number) AS id
WHERE exchange = $1 AND symbol = $2
ORDER BY minute DESC, time DESC, is_number,
  CASE WHEN is_number THEN trade_id::bigint ELSE coalesce(seq, -1) END DESC, trade_id DESC
LIMIT $3
"""  # the order of market.candle.trade_order, backwards
_TICKER = """
SELECT DISTINCT ON ("window") * FROM tickers
WHERE exchange = $1 AND symbol = $2
ORDER BY "window", time DESC
"""


async def read_candles(
    pool: Pool, market: MarketKey, *, from_ms: int, until_ms: int, timeframe: Timeframe = Timeframe.M1
) -> list[Candle]:
    """Candles that open in [from_ms, until_ms), oldest first."""
    return [decode_candle_row(row) for row in await pool.fetch(_CANDLES, *market, timeframe.value, from_ms, until_ms)]


async def read_trades(pool: Pool, market: MarketKey, *, limit: int) -> list[Trade]:
    """The latest trades, newest first."""
    return [decode_trade_row(row) for row in await pool.fetch(_TRADES, *market, limit)]


async def read_ticker(pool: Pool, market: MarketKey) -> Ticker | None:
    """The newest ticker."""
    rows: list[Any] = await pool.fetch(_TICKER, *market)
    return decode_ticker_rows(rows)
