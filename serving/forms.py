"""The forms that answers have: JSON in pages; NDJSON, CSV, Arrow and Parquet as streams, part by part. Pure.

In NDJSON and CSV amounts are strings in plain decimals, in Arrow and Parquet decimals of 38 digits, as in the cold
files. Times are integers under the names that they have in JSON.

How a reader sees that a stream is whole: NDJSON's last line has `end`; Arrow ends with an empty batch that has it as
its metadata, and with the stream's end mark; Parquet has it in its footer. CSV has nothing of that kind. A stream that
fails breaks its connection, without the last chunk of HTTP.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from serving.media_types import AnswerForm
from serving.texts import csv_lines, json_lines

END = b"candlewick.end"
"""The metadata of the end: JSON."""
BEGIN = b"candlewick.begin"
"""The metadata of the schema: JSON."""
_BATCH_ROWS = 65_536


class RowWriter(Protocol):
    """Writes tables of one schema as one text or file."""

    def begin(self) -> bytes:
        """What stands before all rows."""

    def rows(self, rows: pa.Table) -> bytes:
        """The next rows."""

    def end(self, summary: Mapping[str, Any]) -> bytes:
        """What stands behind all rows."""


def row_writer(form: AnswerForm, schema: pa.Schema, begin: Mapping[str, Any], *, omits_null: bool) -> RowWriter:
    """A writer of a form that is a stream; `begin` is what is known before the first row."""
    if form is AnswerForm.NDJSON:
        return NdjsonWriter(omits_null=omits_null)
    if form is AnswerForm.CSV:
        return CsvWriter(schema)
    schema = schema.with_metadata({BEGIN: orjson.dumps(begin)})
    return ArrowWriter(schema) if form is AnswerForm.ARROW else ParquetRowWriter(schema)


class NdjsonWriter:
    """JSON, a record a line; the last line is ``{"end": …}``."""

    def __init__(self, *, omits_null: bool) -> None:
        self._omits_null = omits_null

    def begin(self) -> bytes:  # noqa: D102
        return b""

    def rows(self, rows: pa.Table) -> bytes:  # noqa: D102
        return json_lines(rows, omits_null=self._omits_null)

    def end(self, summary: Mapping[str, Any]) -> bytes:  # noqa: D102
        return orjson.dumps({"end": summary}) + b"\n"


class CsvWriter:
    """CSV with the names in its first line."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def begin(self) -> bytes:  # noqa: D102
        return csv_lines(self._schema.empty_table(), is_first=True)

    def rows(self, rows: pa.Table) -> bytes:  # noqa: D102
        return csv_lines(rows, is_first=False)

    def end(self, summary: Mapping[str, Any]) -> bytes:  # noqa: ARG002, D102
        return b""


class _Written:
    """A file that is taken away as it is written."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._count += len(part)
        return len(part)

    def tell(self) -> int:
        return self._count

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        written = b"".join(self._parts)
        self._parts.clear()
        return written


class ArrowWriter:
    """An Arrow IPC stream."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = _Written()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema)

    def begin(self) -> bytes:  # noqa: D102
        return self._file.take()

    def rows(self, rows: pa.Table) -> bytes:  # noqa: D102
        for batch in _batches(rows):
            self._writer.write_batch(batch)
        return self._file.take()

    def end(self, summary: Mapping[str, Any]) -> bytes:  # noqa: D102
        last = pa.RecordBatch.from_pylist([], schema=self._schema)
        self._writer.write_batch(last, custom_metadata={END: orjson.dumps(summary)})
        self._writer.close()
        return self._file.take()


class ParquetRowWriter:
    """A Parquet file with one row group a part, under zstd."""

    def __init__(self, schema: pa.Schema) -> None:
        self._file = _Written()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._file, mode="w"), schema, compression="zstd")

    def begin(self) -> bytes:  # noqa: D102
        return self._file.take()

    def rows(self, rows: pa.Table) -> bytes:  # noqa: D102
        if len(rows):
            self._writer.write_table(rows.cast(self._writer.schema))
        return self._file.take()

    def end(self, summary: Mapping[str, Any]) -> bytes:  # noqa: D102
        self._writer.add_key_value_metadata({END: orjson.dumps(summary)})
        self._writer.close()
        return self._file.take()


def _batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(rows.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS))
