"""Parquet files as lines of our own JSON: the columns of a trade, or those of Candlewick's cold files."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from market.decimals import plain
from producers.archive.lines import Chunk
from runtime.errors import UsageError

_BATCH_ROWS = 16_384
_REQUIRED = ("exchange", "symbol", "trade_id", "price", "qty", "side")


def read_parquet(path: Path) -> Iterator[Chunk]:
    """The rows of `path`, each as a line; `UsageError` if it is no Parquet file of trades."""
    number = 1
    try:
        with pq.ParquetFile(path) as file:
            names = _columns(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(names)):
                table = pa.Table.from_batches([batch]).select(list(names)).rename_columns(list(names.values()))
                rows = _in_microseconds(table).to_pylist()
                yield Chunk(number, [orjson.dumps(row, default=_plain) for row in rows])
                number += len(rows)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (pa.ArrowException, orjson.JSONEncodeError) as error:
        raise UsageError(f"{path} is not a whole Parquet file of trades: {str(error)[:200]}") from error


def _columns(path: Path, schema: pa.Schema) -> dict[str, str]:
    """Column in the file → field of a trade."""
    missing = [name for name in _REQUIRED if name not in schema.names]
    time = next((name for name in ("time_us", "time") if name in schema.names), None)
    if missing or time is None:
        lacks = ", ".join([*missing, *(() if time else ("time_us or time",))])
        raise UsageError(f"{path} holds no trades: the column {lacks} is missing")
    for name in ("price", "qty"):
        if pa.types.is_floating(schema.field(name).type):
            raise UsageError(f"{path}: {name} is a float, which is not exact: write decimals or strings")
    received = next((name for name in ("received_us", "received") if name in schema.names), None)
    optional = {received: "received_us"} if received else {}
    if "seq" in schema.names:
        optional["seq"] = "seq"
    return {name: name for name in _REQUIRED} | {time: "time_us"} | optional


def _in_microseconds(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            in_us = table.column(index).cast(pa.timestamp("us", tz=field.type.tz)).cast(pa.int64())
            table = table.set_column(index, field.name, in_us)
    return table


def _plain(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
