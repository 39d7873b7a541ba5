"""Records as data frames of polars and pandas, of which the one that is asked for is loaded then.

Columns have the names of the stores' tables (docs/stores.md): times are UTC and lose their unit (``open_time_ms`` →
``open_time``), amounts are exact: decimals of 38 digits in polars, `decimal.Decimal` in pandas. What lies inside a
record has a column for each of its names (``windows.1h.open``, ``values.mean``).
"""

import typing
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct, structs

from market.limits import AMOUNTS, PRICE, Limit
from serving.client.errors import ApiError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_DIGITS = 38
"""Of a decimal in polars."""


class ColumnKind(Enum):
    """What a column holds."""

    AMOUNT = "amount"
    TIME_MS = "ms"
    TIME_US = "us"
    WHOLE = "whole"
    FLAG = "flag"
    TEXT = "text"


class Column(NamedTuple):
    """A column of a frame. `places` is how many digits an amount has after the point at most."""

    name: str
    kind: ColumnKind
    cells: list[Any]
    places: int = 0


class RecordRows(Protocol):
    """What has records of a type."""

    @property
    def record_type(self) -> type[Struct]:
        """It has columns where there are no records too."""

    def __iter__(self) -> Iterator[Struct]: ...


class Framed:
    """Gives the records of an answer as a data frame, a row for each."""

    __slots__ = ()

    def to_polars(self: RecordRows) -> "pl.DataFrame":
        """Raises `ApiError` where an amount has more digits than polars holds."""
        return _polars_frame(columns_of(self.record_type, self))

    def to_pandas(self: RecordRows) -> "pd.DataFrame":
        """Amounts are of type `decimal.Decimal`."""
        return _pandas_frame(columns_of(self.record_type, self))


def columns_of(record_type: type[Struct], records: Iterable[Struct]) -> list[Column]:
    """The records by column; a type's columns are there without records too, but for those of its inner names."""
    rows = list(records)
    columns: list[Column] = []
    for field in structs.fields(record_type):
        values = [getattr(row, field.name) for row in rows]
        inner = _of_dict(field.type)
        if inner is None:
            columns.append(_column(field.name, field.type, values))
            continue
        for name in dict.fromkeys(name for value in values for name in value):
            columns += _inner_columns(f"{field.name}.{name}", inner, [value.get(name) for value in values])
    return columns


def _inner_columns(name: str, type_: Any, values: Sequence[Any]) -> list[Column]:
    if not (isinstance(type_, type) and issubclass(type_, Struct)):
        return [_column(name, type_, values)]
    return [
        _column(f"{name}.{field.name}", field.type, [value and getattr(value, field.name) for value in values])
        for field in structs.fields(type_)
    ]


def _column(name: str, type_: Any, values: Sequence[Any]) -> Column:
    stem, _, unit = name.rpartition("_")
    types = _types_in(type_)
    if Decimal in types:
        limit = AMOUNTS.get(name.rpartition(".")[2], PRICE)
        return Column(name, ColumnKind.AMOUNT, list(values), limit.places)
    if int in types and unit in {"ms", "us"}:
        return Column(stem, ColumnKind(unit), list(values))
    if bool in types:
        return Column(name, ColumnKind.FLAG, list(values))
    if int in types:
        return Column(name, ColumnKind.WHOLE, list(values))
    return Column(name, ColumnKind.TEXT, [None if value is None else str(value) for value in values])


def _of_dict(type_: Any) -> Any | None:
    """The type of a dictionary's values; None: it is another type."""
    return typing.get_args(type_)[1] if typing.get_origin(type_) is dict else None


def _types_in(type_: Any) -> set[Any]:
    """The types of a union, without what is annotated."""
    parts = typing.get_args(type_)
    return {type_} if not parts else {inner for part in parts for inner in _types_in(part)}


def _polars_frame(columns: Sequence[Column]) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415  # only who asks for it needs it

    types: dict[ColumnKind, Any] = {
        ColumnKind.TIME_MS: pl.Datetime("ms", "UTC"),
        ColumnKind.TIME_US: pl.Datetime("us", "UTC"),
        ColumnKind.WHOLE: pl.Int64,
        ColumnKind.FLAG: pl.Boolean,
        ColumnKind.TEXT: pl.String,
    }
    series = []
    for column in columns:
        if column.kind is ColumnKind.AMOUNT:
            _require_exact(column)
            series.append(pl.Series(column.name, column.cells, dtype=pl.Decimal(_DIGITS, column.places)))
        elif column.kind in {ColumnKind.TIME_MS, ColumnKind.TIME_US}:
            series.append(pl.Series(column.name, column.cells, dtype=pl.Int64).cast(types[column.kind]))
        else:
            series.append(pl.Series(column.name, column.cells, dtype=types[column.kind]))
    return pl.DataFrame(series)


def _pandas_frame(columns: Sequence[Column]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415  # only who asks for it needs it

    types: dict[ColumnKind, Any] = {
        ColumnKind.AMOUNT: "object",
        ColumnKind.TIME_MS: "datetime64[ms, UTC]",
        ColumnKind.TIME_US: "datetime64[us, UTC]",
        ColumnKind.WHOLE: "Int64",
        ColumnKind.FLAG: "boolean",
        ColumnKind.TEXT: "str",
    }
    return pd.DataFrame({column.name: pd.Series(column.cells, dtype=types[column.kind]) for column in columns})


def _require_exact(column: Column) -> None:
    """Polars rounds what has more places, without a word."""
    limit = Limit(_DIGITS - column.places, column.places)
    for value in column.cells:
        if value is not None and not limit.holds(value):
            raise ApiError(f"{column.name} {value:f} has more digits than polars holds: use to_pandas()")
