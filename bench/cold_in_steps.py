"""An experiment: cold files of trades with amounts in whole steps, and the receipt as a difference to the time.

`27000.1` in a column of 18 places is 27000100000000000000000, whose last bytes look like noise to every compression. As
270001 steps of 0.1 it is a small number. The step is of a market's amounts in one file: the greatest of which all of
them are whole multiples, so mostly the market's tick or lot. `amount = steps * step`, exactly.

The sink writes no such files; docs/stores.md says why. A compaction may choose by the figures.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from market.value_text import Ints
from sinks.columns import PRICE, TIME
from sinks.parquet.schema import TRADES

_USUAL = pa.decimal64(18, 8)
"""Wider amounts end the experiment; files of all trades would need another way for these, as a step for each."""
_STEPS = pa.decimal64(18, 0)
"""64 bits in a file. Of such decimals readers refuse a product that is too wide; of integers it would be wrong."""
_WIDE = pa.decimal256(PRICE.precision, PRICE.scale)
_AMOUNTS = ("price", "qty")
_REPEATING = [*TRADES.repeating, "price_step", "qty_step"]
_ENCODINGS = {name: how for name, how in TRADES.encodings.items() if name != "received"} | {
    "price_steps": "DELTA_BINARY_PACKED",
    "qty_steps": "BYTE_STREAM_SPLIT",
    "received_after_us": "BYTE_STREAM_SPLIT",
}
"""Sizes and delays are noise in their lower bytes only, which split bytes keep apart."""


def in_steps(file: bytes, zstd_level: int) -> bytes:
    """The rows of a file of trades in this layout, in their order.

    Raises `pyarrow.ArrowInvalid` for amounts of more digits than the experiment takes, and `AssertionError` where the
    rows do not come out of the new file as they were.
    """
    rows = pq.read_table(pa.BufferReader(file))
    sink = pa.BufferOutputStream()
    pq.write_table(
        _stored(rows),
        sink,
        compression="zstd",
        compression_level=zstd_level,
        use_dictionary=_REPEATING,
        column_encoding=_ENCODINGS,
        store_decimal_as_integer=True,
        write_page_index=True,
        store_schema=False,
    )
    written = sink.getvalue()
    assert _rows(pq.read_table(pa.BufferReader(written))).select(rows.schema.names).cast(rows.schema).equals(rows)
    return written.to_pybytes()


def _stored(rows: pa.Table) -> pa.Table:
    symbols = rows["symbol"].combine_chunks().dictionary_encode().indices.to_numpy()
    starts = np.flatnonzero(np.diff(symbols, prepend=-1))
    for name in _AMOUNTS:
        steps, step = _counted(rows[name].combine_chunks(), starts)
        rows = rows.append_column(f"{name}_steps", steps).append_column(f"{name}_step", step)
    after_us = pc.subtract(rows["received"].cast(pa.int64()), rows["time"].cast(pa.int64()))
    return rows.append_column("received_after_us", after_us).drop_columns([*_AMOUNTS, "received"])


def _counted(amounts: pa.Array, starts: Ints) -> tuple[pa.Array, pa.Array]:
    """How many steps each amount is, and its step; each of `starts` is where another market begins."""
    numbers = amounts.cast(_USUAL).view(pa.int64()).to_numpy()
    lengths = np.diff(starts, append=len(numbers))
    step = np.repeat(np.gcd.reduceat(numbers, starts), lengths)
    return pa.array(numbers // step).view(_STEPS), pa.array(step).view(_USUAL).cast(PRICE)


def _rows(stored: pa.Table) -> pa.Table:
    for name in _AMOUNTS:
        amounts = pc.multiply(stored[f"{name}_steps"], stored[f"{name}_step"].cast(_WIDE)).cast(PRICE)
        stored = stored.append_column(name, amounts)
    received_us = pc.add(stored["time"].cast(pa.int64()), stored["received_after_us"])
    return stored.append_column("received", received_us.cast(TIME))
