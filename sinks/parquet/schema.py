"""The columns of the cold files; field ids and types are ready for an Iceberg table over them."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from market.codec import decode_candle, decode_trade
from market.records import BareRecord
from sinks.columns import PRICE, QUOTE, TIME, Column, table
from sinks.encoded import Encoded
from sinks.rows import Row, decode_rows

_TEXT, _INT, _LONG = pa.string(), pa.int32(), pa.int64()


class Dataset(NamedTuple):
    """A folder of files with one schema."""

    name: str
    decode: Callable[[bytes], Any]
    schema: pa.Schema
    columns: Mapping[str, Column]
    time: str
    """The column whose UTC day is the file's date."""
    repeating: list[str]
    """Columns with few different values, for Parquet's dictionaries."""
    deltas: dict[str, str]
    """Parquet encodings of the columns whose neighbouring values are close."""


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, None]) -> pa.Schema:
    """Fields numbered from 1; those marked with None may be null."""
    return pa.schema(
        [
            pa.field(field[0], field[1], nullable=len(field) > 2, metadata={"PARQUET:field_id": str(number)})  # noqa: PLR2004
            for number, field in enumerate(fields, 1)
        ]
    )


def _of_model(*names: str) -> dict[str, Column]:
    return {name: attrgetter(f"model.{name}") for name in names}


def _us(name: str) -> Column:
    def column(row: Row) -> int:
        return int(getattr(row.model, name)) * 1000

    return column


_PLACE: dict[str, Column] = {
    "run": attrgetter("run"),
    "partition": attrgetter("partition"),
    "offset": attrgetter("record.offset"),
}

TRADES = Dataset(
    name="trades",
    decode=decode_trade,
    schema=_schema(
        ("exchange", _TEXT), ("symbol", _TEXT), ("trade_id", _TEXT), ("price", PRICE), ("qty", PRICE), ("side", _TEXT),
        ("time", TIME), ("received", TIME), ("source", _TEXT), ("run", _TEXT, None), ("partition", _INT),
        ("offset", _LONG), ("seq", _LONG, None),
    ),
    columns={
        **_of_model("exchange", "symbol", "trade_id", "price", "qty", "side", "source", "seq"),
        "time": attrgetter("model.time_us"),
        "received": attrgetter("model.received_us"),
        **_PLACE,
    },
    time="time",
    repeating=["exchange", "symbol", "side", "source", "run", "partition"],
    deltas={
        "time": "DELTA_BINARY_PACKED",
        "received": "DELTA_BINARY_PACKED",
        "offset": "DELTA_BINARY_PACKED",
        "trade_id": "DELTA_BYTE_ARRAY",
    },
)  # fmt: skip

CANDLES = Dataset(
    name="candles",
    decode=decode_candle,
    schema=_schema(
        ("exchange", _TEXT), ("symbol", _TEXT), ("timeframe", _TEXT), ("open_time", TIME), ("close_time", TIME),
        ("open", PRICE), ("high", PRICE), ("low", PRICE), ("close", PRICE), ("volume", PRICE), ("quote_volume", QUOTE),
        ("trades", _LONG), ("taker_buy_volume", PRICE), ("taker_buy_quote_volume", QUOTE),
        ("first_trade_id", _TEXT, None), ("last_trade_id", _TEXT, None), ("revision", _LONG), ("status", _TEXT),
        ("run", _TEXT, None), ("partition", _INT), ("offset", _LONG),
    ),
    columns={
        **_of_model("exchange", "symbol", "timeframe", "open", "high", "low", "close", "volume", "quote_volume"),
        **_of_model("trades", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
        **_of_model("revision", "status"),
        "open_time": _us("open_time_ms"),
        "close_time": _us("close_time_ms"),
        **_PLACE,
    },
    time="open_time",
    repeating=["exchange", "symbol", "timeframe", "status", "run", "partition"],
    deltas={
        "open_time": "DELTA_BINARY_PACKED",
        "close_time": "DELTA_BINARY_PACKED",
        "revision": "DELTA_BINARY_PACKED",
        "offset": "DELTA_BINARY_PACKED",
    },
)  # fmt: skip


def encode(dataset: Dataset, partition: int, records: Sequence[BareRecord], partitions: int) -> Encoded:
    """Records of one partition, in a topic of so many, as an Arrow table; malformed ones are refused."""
    rows, malformed = decode_rows(partition, records, dataset.decode, partitions)
    encoded = table(rows, dataset.schema, dataset.columns)
    return Encoded(encoded, encoded.num_rows, malformed)
