"""Rows as Arrow columns, every value exact: the types hold all that `market.limits` allows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from market.limits import CHANGE_PERCENT, QUOTE_VOLUME, VOLUME
from market.value_text import Bools, Ints
from sinks.rows import Row

PRICE = pa.decimal128(VOLUME.whole + VOLUME.places, VOLUME.places)
"""Prices, sizes and volumes."""
QUOTE = pa.decimal128(QUOTE_VOLUME.whole + QUOTE_VOLUME.places, QUOTE_VOLUME.places)
"""Volumes in quote units."""
PERCENT = pa.decimal256(CHANGE_PERCENT.whole + CHANGE_PERCENT.places, CHANGE_PERCENT.places)
TIME = pa.timestamp("us", tz="UTC")

_HALF = (1 << 32) - 1
_POWERS: Ints = 10 ** np.arange(VOLUME.places + 1, dtype=np.int64)

Column = Callable[[Row], Any]


def table(rows: Sequence[Row], schema: pa.Schema, columns: Mapping[str, Column]) -> pa.Table:
    """The rows as a table of `schema`; `columns` has a function for each column's value."""
    return pa.Table.from_arrays(
        [pa.array([columns[field.name](row) for row in rows], field.type) for field in schema], schema=schema
    )


def decimal_column(units: Ints, digits: Ints) -> pa.Array:
    """`units` / 10^`digits` as `PRICE`, without an object for each: units from 0 to 10^16, digits to `VOLUME.places`.

    A value is a whole number of 128 bits, in two words: `units` times a power of ten, from products of 32-bit halves.
    """
    factors = _POWERS[VOLUME.places - digits]
    high, low = units >> 32, units & _HALF
    factor_high, factor_low = factors >> 32, factors & _HALF
    lowest = low.view(np.uint64) * factor_low.view(np.uint64)  # may use all 64 bits; all other products are below 2^62
    middle = high * factor_low + (lowest >> np.uint64(32)).view(np.int64)
    carry = low * factor_high + (middle & _HALF)
    words = np.empty((len(units), 2), np.int64)
    words[:, 0] = units * factors  # its lower 64 bits
    words[:, 1] = high * factor_high + (middle >> 32) + (carry >> 32)
    return pa.Array.from_buffers(PRICE, len(units), [None, pa.py_buffer(words)])


def dictionary_column(
    indices: Ints, values: pa.Array, dictionary: pa.DataType, absent: Bools | None = None
) -> pa.Array:
    """The values at these places, as the type `dictionary`; null where `absent`."""
    narrow = pa.array(indices.astype(dictionary.index_type.to_pandas_dtype()), mask=absent)
    return pa.DictionaryArray.from_arrays(narrow, values)
