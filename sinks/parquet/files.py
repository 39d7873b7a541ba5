"""A batch as files: their paths, their bytes, and the hash that shows whether two files hold the same rows. Pure.

``<dataset>/exchange=EXCHANGE/date=YYYY-MM-DD/<topic>-<partition>-<first>-<last>.parquet``: a file lies in one exchange
and one UTC day of market time; `first` and `last` are the offsets of the batch's first and last record, so that the
files of one batch share them.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sinks.parquet.schema import Dataset

ROWS_HASH = b"candlewick.rows_sha256"
_DAY_US = 86_400_000_000
_SEPARATOR = "\x1f"
_NULL = "\x00"
_NO_NUMBER = -1


class BatchName(NamedTuple):
    """What all files of a batch have in their names; `first` and `last` are offsets."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.first}-{self.last}"


class File(NamedTuple):
    """One file of a batch."""

    path: str
    rows: pa.Table


def split(dataset: Dataset, name: BatchName, rows: pa.Table) -> Iterator[File]:
    """The files of a batch, one for each exchange and day in it, each in offset order."""
    days = pc.divide(rows[dataset.time].cast(pa.int64()), _DAY_US)
    marked = rows.append_column("_day", days)
    groups = marked.group_by(["exchange", "_day"], use_threads=False).aggregate([])
    for exchange, day in zip(groups["exchange"].to_pylist(), groups["_day"].to_pylist(), strict=True):
        chosen = pc.and_(pc.equal(rows["exchange"], exchange), pc.equal(days, day))
        date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
        folder = f"{dataset.name}/exchange={quote(exchange, safe='')}/date={date.isoformat()}"
        yield File(f"{folder}/{name}.parquet", rows.filter(chosen))


def parquet_bytes(dataset: Dataset, rows: pa.Table) -> bytes:
    """The file. The same rows give the same bytes under one version of Arrow, and the same hash under all versions."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        use_dictionary=dataset.repeating,
        column_encoding=dataset.deltas,
        write_page_index=True,
        store_schema=False,
        sorting_columns=[pq.SortingColumn(rows.schema.get_field_index("offset"))],
    ) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({ROWS_HASH: rows_hash(rows)})
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def rows_hash(rows: pa.Table) -> str:
    """SHA-256 of the values, column by column: it does not depend on how Arrow or Parquet lay them out."""
    digest = hashlib.sha256()
    for field in rows.schema:
        values = rows[field.name]
        digest.update(f"{field.name} {field.type} {len(values)}\n".encode())
        if pa.types.is_string(field.type):
            texts = [_NULL if value is None else value for value in values.to_pylist()]
            digest.update(_SEPARATOR.join(texts).encode())
        else:
            fixed = (values.fill_null(_NO_NUMBER) if values.null_count else values).combine_chunks()
            width = field.type.bit_width // 8
            start = fixed.offset * width
            digest.update(memoryview(fixed.buffers()[1])[start : start + len(fixed) * width])
    return digest.hexdigest()


def stored_hash(file: bytes) -> str | None:
    """The hash in a file's metadata; None if this is no such file."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(file)).metadata or {}
    except pa.ArrowInvalid:
        return None
    value = metadata.get(ROWS_HASH)
    return None if value is None else value.decode()
