"""Reading the cold store: a day of a market, each data key once.

Of a day only the files of the market's partition are opened, and of a large file only the columns and row groups that
are needed.

All raise what the client raises (`sinks.parquet.connect.cold_errors` translates it), `pyarrow.ArrowException` for a
file that is damaged, and `MalformedError` for a row that is not ours.
"""

import asyncio
import datetime as dt
import re
from urllib.parse import quote, unquote

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from obstore.store import ObjectStore

from market.candle import Candle, trade_order
from market.key import MarketKey
from market.partition import partition_of
from market.trade import Trade
from sinks.decode import StoredRow, decode_candle_row, decode_trade_row
from sinks.parquet.schema import CANDLES, TRADES, Dataset
from sinks.rows import precedence

SMALL_BYTES = 1 << 20
"""Files up to this size are got whole: one request instead of three."""
READ_AHEAD_BYTES = 1 << 16
_AT_ONCE = 8
"""Files of one day that are got at a time."""
_partition_in = re.compile(r"-(\d+)-\d+-\d+\.parquet$").search
_NOT_NEEDED = {CANDLES.name: {"close_time", "partition", "run"}, TRADES.name: {"partition"}}
"""Columns that no reader here looks at."""


async def read_trades(
    store: ObjectStore, market: MarketKey, date: dt.date, *, partitions: int | None = None
) -> list[Trade]:
    """The trades of a UTC day, oldest first; among several copies of a trade, the one that counts."""
    rows = await _read(store, TRADES, market, date, partitions)
    rows.sort(key=lambda row: precedence(row["run"], row["offset"]))
    by_key = {(row["time"].replace(second=0, microsecond=0), row["trade_id"]): row for row in rows}
    return sorted(map(decode_trade_row, by_key.values()), key=trade_order)


async def read_candles(
    store: ObjectStore,
    market: MarketKey,
    date: dt.date,
    *,
    partitions: int | None = None,
    is_first: bool = False,
) -> list[Candle]:
    """The 1m candles that open on a UTC day, oldest first, each in its highest revision, or in its first.

    `partitions` is how many the candles' topic has; without it all files of the day are looked into.
    """
    rows = await _read(store, CANDLES, market, date, partitions)
    rows.sort(key=lambda row: (row["revision"], row["offset"]), reverse=is_first)
    by_key = {row["open_time"]: row for row in rows}
    return [decode_candle_row(by_key[time]) for time in sorted(by_key)]


async def read_dates(store: ObjectStore, dataset: str) -> dict[str, list[dt.date]]:
    """Exchange → the UTC days of which a dataset has files, in order; only names of folders are read."""
    exchanges = await _folders(store, f"{dataset}/")
    return {
        unquote(exchange.removeprefix("exchange=")): sorted(
            dt.date.fromisoformat(date.removeprefix("date="))
            for date in await _folders(store, f"{dataset}/{exchange}/")
            if date.startswith("date=")
        )
        for exchange in exchanges
        if exchange.startswith("exchange=")
    }


async def _folders(store: ObjectStore, prefix: str) -> list[str]:
    listed = await obstore.list_with_delimiter_async(store, prefix=prefix)
    return [path.rstrip("/").rpartition("/")[2] for path in listed["common_prefixes"]]


async def _read(
    store: ObjectStore, dataset: Dataset, market: MarketKey, date: dt.date, partitions: int | None
) -> list[StoredRow]:
    folder = f"{dataset.name}/exchange={quote(market.exchange, safe='')}/date={date.isoformat()}/"
    partition = None if partitions is None else partition_of(str(market).encode(), partitions)
    files = [
        (entry["path"], entry["size"])
        async for entries in obstore.list(store, prefix=folder)
        for entry in entries
        if entry["path"].endswith(".parquet") and may_hold(entry["path"], partition)
    ]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def content_of(path: str, size: int) -> bytes | None:
        if size > SMALL_BYTES:
            return None
        async with slots:
            return bytes(await (await obstore.get_async(store, path)).bytes_async())

    contents = await asyncio.gather(*(content_of(*file) for file in files))

    def rows() -> list[StoredRow]:
        """In one thread: many would wait for each other."""
        tables = [
            _rows_of(_ranged(store, path) if content is None else pa.BufferReader(content), dataset, market.symbol)
            for (path, _), content in zip(files, contents, strict=True)
        ]
        return [row for table in tables for row in table.to_pylist()]

    return await asyncio.to_thread(rows)


def may_hold(path: str, partition: int | None) -> bool:
    """Whether a file may have rows of a partition: not if its name tells another."""
    told = _partition_in(path)
    return partition is None or told is None or int(told[1]) == partition


def _ranged(store: ObjectStore, path: str) -> pa.NativeFile:
    return pa.PythonFile(obstore.open_reader(store, path, buffer_size=READ_AHEAD_BYTES), mode="r")


def _rows_of(source: pa.NativeFile, dataset: Dataset, symbol: str) -> pa.Table:
    with pq.ParquetFile(source) as file:
        names = [name for name in file.schema_arrow.names if name not in _NOT_NEEDED.get(dataset.name, ())]
        groups = [group for group in range(file.num_row_groups) if _group_may_hold(file, group, symbol)]
        rows = (
            file.read_row_groups(groups, columns=names, use_threads=False)
            if groups
            else file.schema_arrow.empty_table().select(names)
        )
    return rows.filter(pc.equal(rows["symbol"], symbol))


def _group_may_hold(file: pq.ParquetFile, group: int, symbol: str) -> bool:
    """By the statistics of the symbols, in the order of their bytes."""
    about = file.metadata.row_group(group)
    column = next((place for place in range(about.num_columns) if about.column(place).path_in_schema == "symbol"), None)
    statistics = None if column is None else about.column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return str(statistics.min).encode() <= symbol.encode() <= str(statistics.max).encode()
