"""Rows as Arrow columns, every value exact: the types hold all that `market.limits` allows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from market.limits import CHANGE_PERCENT, QUOTE_VOLUME, VOLUME
from sinks.rows import Row

PRICE = pa.decimal128(VOLUME.whole + VOLUME.places, VOLUME.places)
"""Prices, sizes and volumes."""
QUOTE = pa.decimal128(QUOTE_VOLUME.whole + QUOTE_VOLUME.places, QUOTE_VOLUME.places)
"""Volumes in quote units."""
PERCENT = pa.decimal256(CHANGE_PERCENT.whole + CHANGE_PERCENT.places, CHANGE_PERCENT.places)
TIME = pa.timestamp("us", tz="UTC")

Column = Callable[[Row], Any]


def table(rows: Sequence[Row], schema: pa.Schema, columns: Mapping[str, Column]) -> pa.Table:
    """The rows as a table of `schema`; `columns` has a function for each column's value."""
    return pa.Table.from_arrays(
        [pa.array([columns[field.name](row) for row in rows], field.type) for field in schema], schema=schema
    )
