"""A batch as files: their paths, their bytes, and the hash that shows whether two files hold the same rows. Pure.

``<dataset>/exchange=EXCHANGE/date=YYYY-MM-DD/<topic>-<partition>-<first>-<last>.parquet``: a file lies in one exchange
and one UTC day of market time; `first` and `last` are the offsets of the batch's first and last record, so that the
files of one batch share them.

In a file the rows are sorted by symbol, time and offset. The hash is of the rows in the order of their offsets: it says
which rows there are, not how they lie. So a replay finds its rows again in the files of earlier versions too, which are
in offset order and encoded in other ways.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from market.fields import MAX_TIME_US
from market.value_text import Ints
from sinks.parquet.schema import Dataset

ROWS_HASH = b"candlewick.rows_sha256"
_DAY_US = 86_400_000_000
_DAYS = MAX_TIME_US // _DAY_US + 1
_SEPARATOR = "\x1f"
_NULL = "\x00"
_NO_NUMBER = -1
_SMALL = 1 << 16
ZSTD_LEVEL = 3
"""Of a file's bytes, level 1 leaves 2 % more and level 9 takes 5 % less, in more than twice the time."""


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
    """In the dataset's schema, in offset order."""


def split(dataset: Dataset, name: BatchName, rows: pa.Table) -> Iterator[File]:
    """The files of a batch, one for each exchange and day in it; `rows` are in offset order."""
    rows = rows.cast(dataset.schema)
    exchanges = rows["exchange"].combine_chunks().dictionary_encode()
    folder_of = exchanges.indices.to_numpy() * _DAYS + _us_of(rows[dataset.time]) // _DAY_US
    folders = np.unique(folder_of).tolist()
    for folder in folders:
        of_file = rows if len(folders) == 1 else rows.filter(pa.array(folder_of == folder))
        exchange, day = divmod(folder, _DAYS)
        date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
        encoded = quote(exchanges.dictionary[exchange].as_py(), safe="")
        yield File(f"{dataset.name}/exchange={encoded}/date={date.isoformat()}/{name}.parquet", of_file)


def parquet_bytes(dataset: Dataset, rows: pa.Table) -> bytes:
    """The content of a file with `rows`, which are as those of `File`.

    The same rows give the same bytes under one version of Arrow, and the same hash under all versions.
    """
    sink = pa.BufferOutputStream()
    order = [pq.SortingColumn(dataset.schema.get_field_index(name)) for name in ("symbol", dataset.time, "offset")]
    with pq.ParquetWriter(
        sink,
        dataset.schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=dataset.repeating,
        column_encoding=dataset.encodings,
        write_page_index=True,
        store_schema=False,
        sorting_columns=order,
    ) as writer:
        writer.write_table(_by_symbol_and_time(dataset, rows))
        writer.add_key_value_metadata({ROWS_HASH: rows_hash(rows)})
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _us_of(times: pa.ChunkedArray) -> Ints:
    return times.cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def _by_symbol_and_time(dataset: Dataset, rows: pa.Table) -> pa.Table:
    symbols = rows["symbol"].combine_chunks().dictionary_encode()
    count = len(symbols.dictionary)
    ranks = np.empty(count, np.uint16 if count <= _SMALL else np.int64)  # small numbers are sorted several times faster
    ranks[pc.array_sort_indices(symbols.dictionary).to_numpy()] = np.arange(count)
    order = np.argsort(_us_of(rows[dataset.time]), kind="stable")
    order = order[np.argsort(ranks[symbols.indices.to_numpy()][order], kind="stable")]
    return rows.take(order)


def rows_hash(rows: pa.Table) -> str:
    """SHA-256 of the values, column by column in offset order: it does not depend on how they are laid out."""
    digest = hashlib.sha256()
    for field in rows.schema:
        values = rows[field.name].combine_chunks()
        digest.update(f"{field.name} {_named(field.type)} {len(values)}\n".encode())
        for part in _parts(values):
            digest.update(part)
    return digest.hexdigest()


def _named(type_: pa.DataType) -> str:
    """Arrow's own name; that of a map would tell whether it was read from a file."""
    return f"map<{type_.key_type}, {type_.item_type}>" if pa.types.is_map(type_) else str(type_)


def _parts(values: pa.Array) -> Iterator[bytes | memoryview | pa.Buffer]:
    """What a column's values are, in bytes."""
    if pa.types.is_map(values.type):  # how many names each row has, then the names of all rows, then their amounts
        ends = values.offsets.to_numpy()
        yield np.diff(ends).tobytes()
        yield from _parts(values.keys[ends[0] : ends[-1]])
        yield from _parts(values.items[ends[0] : ends[-1]])
    elif pa.types.is_string(values.type):
        texts = values.fill_null(_NULL)
        yield pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), _SEPARATOR)[0].as_buffer()
    else:
        fixed = values.fill_null(_NO_NUMBER) if values.null_count else values
        width = values.type.bit_width // 8
        start = fixed.offset * width
        yield memoryview(fixed.buffers()[1])[start : start + len(fixed) * width]


def holds(dataset: Dataset, file: bytes, rows: pa.Table) -> bool:
    """Whether the file is of these rows and no others; of a compacted topic it may have more, which the log lost."""
    stored, wanted = stored_hash(file), rows_hash(rows)
    if stored == wanted or stored is None or not dataset.is_compacted:
        return stored == wanted
    there = pq.read_table(pa.BufferReader(file)).sort_by("offset")
    return rows_hash(there.filter(pc.is_in(there["offset"], rows["offset"].combine_chunks()))) == wanted


def stored_hash(file: bytes) -> str | None:
    """The hash in a file's metadata; None if this is no such file."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(file)).metadata or {}
    except pa.ArrowInvalid:
        return None
    value = metadata.get(ROWS_HASH)
    return None if value is None else value.decode()
