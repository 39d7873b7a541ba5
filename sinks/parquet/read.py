"""Reading the cold store: a day of a market, each data key once.

All raise what the client raises (`sinks.parquet.connect.cold_errors` translates it), `pyarrow.ArrowException` for a
file that is damaged, and `MalformedError` for a row that is not ours.
"""

import asyncio
import datetime as dt
from typing import Any
from urllib.parse import quote

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from obstore.store import ObjectStore

from market.candle import Candle, trade_order
from market.key import MarketKey
from market.trade import Trade
from sinks.decode import StoredRow, decode_candle_row, decode_trade_row
from sinks.parquet.schema import CANDLES, TRADES, Dataset
from sinks.rows import precedence


async def read_trades(store: ObjectStore, market: MarketKey, date: dt.date) -> list[Trade]:
    """The trades of a UTC day, oldest first; among several copies of a trade, the one that counts."""
    rows = await _read(store, TRADES, market, date)
    rows.sort(key=lambda row: precedence(row["run"], row["offset"]))
    by_key = {(row["time"].replace(second=0, microsecond=0), row["trade_id"]): row for row in rows}
    return sorted(map(decode_trade_row, by_key.values()), key=trade_order)


async def read_candles(store: ObjectStore, market: MarketKey, date: dt.date) -> list[Candle]:
    """The 1m candles that open on a UTC day, oldest first, each in its highest revision."""
    rows = await _read(store, CANDLES, market, date)
    rows.sort(key=lambda row: (row["revision"], row["offset"]))
    by_key = {row["open_time"]: row for row in rows}
    return [decode_candle_row(by_key[time]) for time in sorted(by_key)]


async def _read(store: ObjectStore, dataset: Dataset, market: MarketKey, date: dt.date) -> list[StoredRow]:
    folder = f"{dataset.name}/exchange={quote(market.exchange, safe='')}/date={date.isoformat()}/"
    rows: list[StoredRow] = []
    async for entries in obstore.list(store, prefix=folder):
        for entry in entries:
            if entry["path"].endswith(".parquet"):
                content = await (await obstore.get_async(store, entry["path"])).bytes_async()
                rows += await asyncio.to_thread(_rows_of, bytes(content), market.symbol)
    return rows


def _rows_of(content: bytes, symbol: str) -> list[dict[str, Any]]:
    rows = pq.read_table(pa.BufferReader(content), filters=pc.field("symbol") == symbol)
    return rows.to_pylist()  # type: ignore[no-any-return]
