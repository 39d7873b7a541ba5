"""What other programs make of the amounts in the cold store's files: exact sums, and products refused or rounded."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cold_rows import TRADE, files, record

from sinks.parquet.files import parquet_bytes
from sinks.parquet.schema import TRADES

USUAL = [("27000.01", "0.00123"), ("27000.02", "1.5"), ("26999.99", "0.00007")] * 40
SUMS = (sum(Decimal(price) for price, _ in USUAL), sum(Decimal(qty) for _, qty in USUAL))
LONG = ("123456789.12345678901", "1234.00000000001")
"""Their product is 152345677778.3469122062312345678901."""


def cold_file(folder: Path, trades: list[tuple[str, str]]) -> str:
    """A file as the sink writes it, of trades with these prices and sizes."""
    rows = [record(TRADE | {"price": price, "qty": qty}, number) for number, (price, qty) in enumerate(trades)]
    [file] = files(TRADES, rows)
    (folder / "trades.parquet").write_bytes(parquet_bytes(TRADES, file.rows))
    return str(folder / "trades.parquet")


def by_polars(path: str) -> tuple[Any, ...]:
    [sums] = pl.scan_parquet(path).select(pl.col("price", "qty").sum()).collect().rows()
    return tuple(sums)


def by_duckdb(path: str) -> tuple[Any, ...]:
    [sums] = duckdb.sql(f"SELECT sum(price), sum(qty) FROM read_parquet('{path}')").fetchall()  # noqa: S608
    return tuple(sums)


def by_pandas(path: str) -> tuple[Any, ...]:
    rows = pd.read_parquet(path)
    return rows.price.sum(), rows.qty.sum()


def by_pyarrow(path: str) -> tuple[Any, ...]:
    rows = pq.read_table(path)
    return pc.sum(rows["price"]).as_py(), pc.sum(rows["qty"]).as_py()


@pytest.mark.parametrize("read", [by_polars, by_duckdb, by_pandas, by_pyarrow])
def test_sums_of_prices_and_sizes_are_exact(read: Any, tmp_path: Path) -> None:
    assert read(cold_file(tmp_path, USUAL)) == SUMS


def test_products_are_refused_by_duckdb_and_pyarrow(tmp_path: Path) -> None:
    path = cold_file(tmp_path, USUAL)
    with pytest.raises(duckdb.OutOfRangeException, match="Overflow"):
        duckdb.sql(f"SELECT sum(price * qty) FROM read_parquet('{path}')").fetchall()  # noqa: S608
    rows = pq.read_table(path)
    with pytest.raises(pa.ArrowInvalid, match="precision"):
        pc.multiply(rows["price"], rows["qty"])


def test_products_are_rounded_to_18_places_by_polars_and_to_28_digits_by_pandas(tmp_path: Path) -> None:
    path = cold_file(tmp_path, [LONG])
    product = (pl.col("price") * pl.col("qty")).sum()
    assert pl.scan_parquet(path).select(product).collect().item() == Decimal("152345677778.346912206231234568")
    rows = pd.read_parquet(path)
    assert (rows.price * rows.qty).sum() == Decimal("152345677778.3469122062312346")
