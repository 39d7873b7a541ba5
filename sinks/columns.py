"""Rows as Arrow columns, every decimal exact: what does not fit a column's type is refused, never rounded."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from market.errors import MalformedError
from sinks.rows import Row
from sinks.store import Refused

PRICE = pa.decimal128(38, 18)
"""Prices, sizes and volumes: 20 digits before the point and 18 behind."""
QUOTE = pa.decimal256(76, 36)
"""Products of two of them, where the store can hold it."""
TIME = pa.timestamp("us", tz="UTC")

Column = Callable[[Row], Any]


class UnfitError(MalformedError):
    """A value does not fit its column exactly."""


def table(rows: Sequence[Row], schema: pa.Schema, columns: Mapping[str, Column]) -> tuple[pa.Table, list[Refused]]:
    """The rows under `schema`, by the functions that give each column's value; rows that do not fit are set apart."""
    try:
        return _table(rows, schema, columns), []
    except (pa.ArrowInvalid, OverflowError):
        fitting: list[Row] = []
        refused: list[Refused] = []
        for row in rows:
            try:
                _table([row], schema, columns)
                fitting.append(row)
            except (pa.ArrowInvalid, OverflowError) as error:
                refused.append(Refused(row.record, UnfitError(_reason(row, schema, columns, error))))
        return _table(fitting, schema, columns), refused


def fits(value: Decimal, kind: pa.DataType) -> bool:
    """Whether the decimal type holds the value exactly."""
    try:
        pa.array([value], kind)
    except pa.ArrowInvalid:
        return False
    return True


def _table(rows: Sequence[Row], schema: pa.Schema, columns: Mapping[str, Column]) -> pa.Table:
    return pa.Table.from_arrays(
        [pa.array([columns[field.name](row) for row in rows], field.type) for field in schema], schema=schema
    )


def _reason(row: Row, schema: pa.Schema, columns: Mapping[str, Column], error: Exception) -> str:
    for field in schema:
        value = columns[field.name](row)
        if isinstance(value, Decimal) and not fits(value, field.type):
            kind = field.type
            return (
                f"{field.name} {value:f} does not fit {kind.precision - kind.scale} digits before the point "
                f"and {kind.scale} behind"
            )
    return f"does not fit its columns: {error}"
