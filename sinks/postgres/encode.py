"""Records as rows of the tables, and rows as the CSV that COPY takes. Pure."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pc

from market.records import BareRecord
from sinks.columns import table
from sinks.encoded import Encoded
from sinks.postgres.tables import ColumnType, PostgresTable
from sinks.rows import decode_rows
from sinks.trade_rows import TradeRows

_OPTIONS = pc.WriteOptions(include_header=False)


def encode_rows(into: PostgresTable, partition: int, records: Sequence[BareRecord], partitions: int) -> Encoded:
    """Records of one partition, in a topic of so many, decoded one by one; malformed ones are refused."""
    assert into.decode is not None  # noqa: S101  # trades are read by columns
    rows, malformed = decode_rows(partition, records, into.decode, partitions)
    encoded = table(list(into.spread(rows)), into.schema, into.columns)
    return Encoded(encoded, encoded.num_rows, malformed)


def encode_trades(into: PostgresTable, partition: int, records: Sequence[BareRecord], trades: TradeRows) -> Encoded:
    """Trades of one partition, by columns; malformed ones are refused."""
    encoded = trades.read(partition, records)
    columns = [_staged(encoded.chunk[name], type_) for name, type_ in into.types.items()]
    return encoded._replace(chunk=pa.Table.from_arrays(columns, names=list(into.types)))


def as_csv(rows: pa.Table) -> bytes:
    """Texts are quoted, so that an empty one differs from null."""
    buffer = pa.BufferOutputStream()
    pc.write_csv(rows, buffer, _OPTIONS)
    return bytes(buffer.getvalue())


def _staged(column: pa.ChunkedArray, type_: ColumnType) -> pa.ChunkedArray:
    """As it is staged; a decimal becomes its text when it is written."""
    return column if type_ is ColumnType.AMOUNT else column.cast(type_.value.arrow)
