"""The cold store's own figures: what each step from records to a file takes, and what a trade weighs."""

import csv
import io
import random
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from cold_in_steps import in_steps
from trades import PARTITIONS, Market

from market.codec import encode_trade
from market.partition import partition_of
from market.trade import Side, Trade
from sinks.parquet import files
from sinks.parquet.schema import TRADES
from sinks.rolling_policy import FILE_RECORDS

DATA = Path(__file__).parents[1] / "tests" / "data"
NAME = files.BatchName("md.trades.v1", 0, 0, FILE_RECORDS - 1)
_LATENCY_US = 20_000
_COMPACTED_LEVEL = 19


class LoggedRecord(NamedTuple):
    """A record as a sink has it."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def simulated(trades: int) -> dict[int, list[LoggedRecord]]:
    """The candle benchmark's trades by partition."""
    by_partition: dict[int, list[LoggedRecord]] = {partition: [] for partition in range(PARTITIONS)}
    for record in Market(trades=trades).records({}):
        if record.value is not None and record.partition is not None:
            of_partition = by_partition[record.partition]
            of_partition.append(LoggedRecord(len(of_partition), record.key, record.value))
    return by_partition


def real() -> Iterator[tuple[str, dict[int, list[LoggedRecord]]]]:
    """Trades of Binance's dumps as a live feed would have published them, received some 20 ms later."""
    rng = random.Random(7)
    for name, symbol, columns in (
        ("BTCUSDT-trades-2021-01-08.csv", "BTC-USDT", (0, 1, 2, 4, 5)),
        ("XRPETH-aggTrades-2019-10-11.csv", "XRP-ETH", (0, 1, 2, 5, 6)),
    ):
        key = f"binance:{symbol}".encode()
        records = []
        with (DATA / name).open() as file:
            for offset, cells in enumerate(row for row in csv.reader(file) if row[0].isdigit()):
                trade_id, price, qty, time_ms, is_sell = (cells[column] for column in columns)
                time_us = int(time_ms) * 1000
                trade = Trade(
                    exchange="binance",
                    symbol=symbol,
                    trade_id=trade_id,
                    price=Decimal(price),
                    qty=Decimal(qty),
                    side=Side.SELL if is_sell == "True" else Side.BUY,
                    time_us=time_us,
                    received_us=time_us + _LATENCY_US + int(rng.expovariate(1 / _LATENCY_US)),
                )
                records.append(LoggedRecord(offset, key, encode_trade(trade)))
        yield f"{symbol}, {name}", {partition_of(key, PARTITIONS): records}


def steps(runs: int) -> list[dict[str, Any]]:
    """Microseconds of CPU a trade for each step from a file's records to its bytes."""
    partition, records = max(simulated(5 * FILE_RECORDS).items(), key=lambda item: len(item[1]))
    records = records[:FILE_RECORDS]
    read = TRADES.reading(PARTITIONS)
    chunk = read(partition, records).chunk.select(TRADES.schema.names)
    [file] = files.split(TRADES, NAME, chunk)
    actions: dict[str, Callable[[], object]] = {
        "records to a table": lambda: read(partition, records),
        "a table to the rows of files": lambda: list(files.split(TRADES, NAME, chunk)),
        "their hash": lambda: files.rows_hash(file.rows),
        "hash, sort, Parquet": lambda: files.parquet_bytes(TRADES, file.rows),
    }
    figures = []
    for name, action in actions.items():
        seen = sorted(_cpu_us(action) / len(records) for _ in range(max(runs, 9)))
        figures.append(
            {"step": name, "unit": "us/trade", "min": round(seen[0], 3), "median": round(seen[len(seen) // 2], 3)}
        )
        print(f"{name:40} {figures[-1]['median']:>8} us a trade ({figures[-1]['min']} at best)", flush=True)
    return figures


def _cpu_us(action: Callable[[], object]) -> float:
    began_s = time.process_time()
    action()
    return (time.process_time() - began_s) * 1e6


def storage(trades: int = 10 * FILE_RECORDS) -> list[dict[str, Any]]:
    """Bytes a trade as JSON and CSV (its fields, not the record's key), in the sink's files, compacted, in steps."""
    return [
        weight
        for name, by_partition in chain([("simulated, 300 symbols", simulated(trades))], real())
        for weight in _weights(name, by_partition)
    ]


def _weights(name: str, by_partition: dict[int, list[LoggedRecord]]) -> Iterator[dict[str, Any]]:
    values = [record.value for records in by_partition.values() for record in records]
    read = TRADES.reading(PARTITIONS)
    cut = [
        file.rows
        for partition, records in by_partition.items()
        for first in range(0, len(records), FILE_RECORDS)
        for file in files.split(
            TRADES, NAME, read(partition, records[first : first + FILE_RECORDS]).chunk.select(TRADES.schema.names)
        )
    ]
    sorted_cut = [files.parquet_bytes(TRADES, rows) for rows in cut]
    sorted_whole = files.parquet_bytes(TRADES, pa.concat_tables(cut))
    sizes = {
        "JSON": sum(map(len, values)),
        "CSV": _csv_bytes(values),
        "Parquet, as the sink cuts it": sum(map(len, sorted_cut)),
        "Parquet, sorted whole": len(sorted_whole),
        "Parquet, sorted whole, zstd 19": _compacted_bytes(sorted_whole),
        "in steps, as the sink would cut it": sum(len(in_steps(file, files.ZSTD_LEVEL)) for file in sorted_cut),
        "in steps, all in one file, zstd 19": len(in_steps(sorted_whole, _COMPACTED_LEVEL)),
    }
    for form, size in sizes.items():
        weight = {"of": name, "trades": len(values), "form": form, "bytes_per_trade": round(size / len(values), 2)}
        print(f"{name:44} {form:36} {weight['bytes_per_trade']:>8} bytes a trade", flush=True)
        yield weight


def _compacted_bytes(file: bytes) -> int:
    """The same rows in the same encodings, with the strongest compression that is worth its time."""
    written = io.BytesIO()
    pq.write_table(
        pq.read_table(pa.BufferReader(file)),
        written,
        compression="zstd",
        compression_level=_COMPACTED_LEVEL,
        use_dictionary=TRADES.repeating,
        column_encoding=TRADES.encodings,
        write_page_index=True,
        store_schema=False,
    )
    return written.tell()


def _csv_bytes(values: Iterable[bytes]) -> int:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(orjson.loads(value).values() for value in values)
    return len(text.getvalue().encode())
