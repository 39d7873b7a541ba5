"""Reading the cold store: a day of a symbol, each data key once."""

import asyncio
import datetime as dt
from typing import Any
from urllib.parse import quote

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from market.candle import id_order
from sinks.parquet.schema import CANDLES, TRADES, Dataset
from sinks.rows import precedence


async def read_trades(client: Any, exchange: str, symbol: str, date: dt.date) -> list[dict[str, Any]]:
    """The trades of a UTC day in their order: column → value; of several copies of a trade the one that counts."""
    rows = await _read(client, TRADES, exchange, symbol, date)
    rows.sort(key=lambda row: precedence(row["run"], row["offset"]))
    by_key = {(row["time"].replace(second=0, microsecond=0), row["trade_id"]): row for row in rows}
    return sorted(by_key.values(), key=lambda row: (row["time"], id_order(row["trade_id"], row.get("seq"))))


async def read_candles(client: Any, exchange: str, symbol: str, date: dt.date) -> list[dict[str, Any]]:
    """The 1m candles that open on a UTC day, in order: column → value; of several the highest revision."""
    rows = await _read(client, CANDLES, exchange, symbol, date)
    rows.sort(key=lambda row: (row["revision"], row["offset"]))
    by_key = {row["open_time"]: row for row in rows}
    return [by_key[time] for time in sorted(by_key)]


async def _read(client: Any, dataset: Dataset, exchange: str, symbol: str, date: dt.date) -> list[dict[str, Any]]:
    folder = f"{dataset.name}/exchange={quote(exchange, safe='')}/date={date.isoformat()}/"
    rows: list[dict[str, Any]] = []
    async for found in obstore.list(client, prefix=folder):
        for entry in found:
            if entry["path"].endswith(".parquet"):
                content = await (await obstore.get_async(client, entry["path"])).bytes_async()
                rows += await asyncio.to_thread(_rows_of, bytes(content), symbol)
    return rows


def _rows_of(content: bytes, symbol: str) -> list[dict[str, Any]]:
    rows = pq.read_table(pa.BufferReader(content), filters=pc.field("symbol") == symbol)
    return rows.to_pylist()  # type: ignore[no-any-return]
