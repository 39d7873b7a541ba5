"""The columns of the cold files; field ids and types are ready for an Iceberg table over them."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from market.codec import (
    decode_bar,
    decode_candle,
    decode_feed_event,
    decode_funding_rate,
    decode_instrument,
    decode_signal,
)
from market.records import BareRecord
from sinks.columns import PRICE, QUOTE, TIME, Column, table
from sinks.encoded import Encoded
from sinks.rows import Row, decode_rows
from sinks.trade_rows import TradeRows

_TEXT, _INT, _LONG = pa.string(), pa.int32(), pa.int64()

Reading = Callable[[int, Sequence[BareRecord]], Encoded]
"""A partition's records as a table that has the columns of the dataset; malformed ones are refused."""


class Dataset(NamedTuple):
    """A folder of files with one schema; the rows of a file are sorted by symbol and `time`."""

    name: str
    reading: Callable[[int], Reading]
    """How records of a topic with so many partitions are read."""
    schema: pa.Schema
    time: str
    """The column whose UTC day is the file's date."""
    repeating: list[str]
    """Columns with few different values, for Parquet's dictionaries."""
    encodings: dict[str, str]
    """Parquet encodings of other columns: deltas, where neighbouring values are close."""
    is_compacted: bool = False
    """The topic keeps only the newest record of a key: a batch that is read again may lack records."""


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, None]) -> pa.Schema:
    """Fields numbered from 1; those marked with None may be null."""
    return pa.schema(
        [
            pa.field(field[0], field[1], nullable=len(field) > 2, metadata={"PARQUET:field_id": str(number)})  # noqa: PLR2004
            for number, field in enumerate(fields, 1)
        ]
    )


def _amounts_by_name(first_id: int) -> pa.DataType:
    """Name → amount; the fields within have ids too, from `first_id` on.

    It is two columns of a file, so it stands behind those that the rows are sorted by: these are told by their places.
    """
    ids = [{"PARQUET:field_id": str(first_id + place)} for place in range(2)]
    name, amount = pa.field("key", _TEXT, False, ids[0]), pa.field("value", PRICE, False, ids[1])  # noqa: FBT003
    return pa.map_(name, amount)


def _of_model(*names: str) -> dict[str, Column]:
    return {name: attrgetter(f"model.{name}") for name in names}


def _us(name: str) -> Column:
    def column(row: Row) -> int | None:
        time_ms = getattr(row.model, name)
        return None if time_ms is None else int(time_ms) * 1000

    return column


def _logged_us(row: Row) -> int:
    return row.record.timestamp * 1000


def _row_by_row(
    decode: Callable[[bytes], Any], schema: pa.Schema, columns: Mapping[str, Column]
) -> Callable[[int], Reading]:
    def reading(partitions: int) -> Reading:
        def read(partition: int, records: Sequence[BareRecord]) -> Encoded:
            rows, malformed = decode_rows(partition, records, decode, partitions)
            return Encoded(table(rows, schema, columns), len(rows), malformed)

        return read

    return reading


_PLACE: dict[str, Column] = {
    "run": attrgetter("run"),
    "partition": attrgetter("partition"),
    "offset": attrgetter("record.offset"),
}

# Measured on simulated and real trades: deltas of times and offsets take 10 to 45 % less than plain values, those of
# ids over 90 %. Prices and sizes are plain under zstd: dictionaries take up to a third more, split bytes up to twice.
_NEAR = "DELTA_BINARY_PACKED"

TRADES = Dataset(
    name="trades",
    reading=lambda partitions: TradeRows(partitions).read,
    schema=_schema(
        ("exchange", _TEXT), ("symbol", _TEXT), ("trade_id", _TEXT), ("price", PRICE), ("qty", PRICE), ("side", _TEXT),
        ("time", TIME), ("received", TIME), ("source", _TEXT), ("run", _TEXT, None), ("partition", _INT),
        ("offset", _LONG), ("seq", _LONG, None),
    ),
    time="time",
    repeating=["exchange", "symbol", "side", "source", "run", "partition"],
    encodings=dict.fromkeys(("time", "received", "offset", "seq"), _NEAR) | {"trade_id": "DELTA_BYTE_ARRAY"},
)  # fmt: skip

_CANDLE_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("timeframe", _TEXT), ("open_time", TIME), ("close_time", TIME),
    ("open", PRICE), ("high", PRICE), ("low", PRICE), ("close", PRICE), ("volume", PRICE), ("quote_volume", QUOTE),
    ("trades", _LONG), ("taker_buy_volume", PRICE), ("taker_buy_quote_volume", QUOTE),
    ("first_trade_id", _TEXT, None), ("last_trade_id", _TEXT, None), ("revision", _LONG), ("status", _TEXT),
    ("run", _TEXT, None), ("partition", _INT), ("offset", _LONG),
)  # fmt: skip
CANDLES = Dataset(
    name="candles",
    reading=_row_by_row(
        decode_candle,
        _CANDLE_ROWS,
        {
            **_of_model("exchange", "symbol", "timeframe", "open", "high", "low", "close", "volume", "quote_volume"),
            **_of_model("trades", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
            **_of_model("revision", "status"),
            "open_time": _us("open_time_ms"),
            "close_time": _us("close_time_ms"),
            **_PLACE,
        },
    ),
    schema=_CANDLE_ROWS,
    time="open_time",
    repeating=["exchange", "symbol", "timeframe", "status", "run", "partition"],
    encodings=dict.fromkeys(("open_time", "close_time", "revision", "offset"), _NEAR),
)

_FUNDING_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("time", TIME), ("rate", PRICE), ("kind", _TEXT),
    ("next_time", TIME, None), ("mark_price", PRICE, None), ("run", _TEXT, None), ("partition", _INT),
    ("offset", _LONG),
)  # fmt: skip
FUNDING = Dataset(
    name="funding",
    reading=_row_by_row(
        decode_funding_rate,
        _FUNDING_ROWS,
        {
            **_of_model("exchange", "symbol", "rate", "kind", "mark_price"),
            "time": _us("time_ms"),
            "next_time": _us("next_time_ms"),
            **_PLACE,
        },
    ),
    schema=_FUNDING_ROWS,
    time="time",
    repeating=["exchange", "symbol", "kind", "run", "partition"],
    encodings=dict.fromkeys(("time", "next_time", "offset"), _NEAR),
)

_FEED_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("event", _TEXT), ("at", TIME), ("first_id", _TEXT, None),
    ("last_id", _TEXT, None), ("from_time", TIME, None), ("until_time", TIME, None), ("run", _TEXT, None),
    ("reason", _TEXT, None), ("partition", _INT), ("offset", _LONG),
)  # fmt: skip
FEEDS = Dataset(
    name="feeds",
    reading=_row_by_row(
        decode_feed_event,
        _FEED_ROWS,
        {
            **_PLACE,
            **_of_model("exchange", "symbol", "event", "first_id", "last_id", "run", "reason"),
            "at": _us("at_ms"),
            "from_time": attrgetter("model.from_us"),
            "until_time": attrgetter("model.until_us"),
        },
    ),
    schema=_FEED_ROWS,
    time="at",
    repeating=["exchange", "symbol", "event", "run", "partition"],
    encodings=dict.fromkeys(("at", "from_time", "until_time", "offset"), _NEAR),
)

_INSTRUMENT_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("native", _TEXT), ("base", _TEXT), ("quote", _TEXT), ("status", _TEXT),
    ("tick", PRICE, None), ("lot", PRICE, None), ("since", TIME, None), ("logged", TIME), ("partition", _INT),
    ("offset", _LONG),
)  # fmt: skip
INSTRUMENTS = Dataset(
    name="instruments",
    reading=_row_by_row(
        decode_instrument,
        _INSTRUMENT_ROWS,
        {
            **_PLACE,
            **_of_model("exchange", "symbol", "native", "base", "quote", "status", "tick", "lot"),
            "since": _us("since_ms"),
            "logged": _logged_us,
        },
    ),
    schema=_INSTRUMENT_ROWS,
    time="logged",
    repeating=["exchange", "symbol", "quote", "status", "partition"],
    encodings=dict.fromkeys(("since", "logged", "offset"), _NEAR),
    is_compacted=True,
)
"""`logged` is when Kafka took the record in: an instrument has no time of its own."""

_SIGNAL_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("kind", _TEXT), ("state", _TEXT), ("severity", _TEXT), ("time", TIME),
    ("revision", _LONG), ("other", _TEXT, None), ("window_minutes", _LONG), ("partition", _INT),
    ("offset", _LONG), ("values", _amounts_by_name(13)),
)  # fmt: skip
SIGNALS = Dataset(
    name="signals",
    reading=_row_by_row(
        decode_signal,
        _SIGNAL_ROWS,
        {
            **_PLACE,
            **_of_model("exchange", "symbol", "kind", "state", "severity", "revision", "other", "window_minutes"),
            "time": _us("time_ms"),
            "values": lambda row: list(row.model.values.items()),
        },
    ),
    schema=_SIGNAL_ROWS,
    time="time",
    repeating=["exchange", "symbol", "kind", "state", "severity", "other", "partition", "values.key_value.key"],
    encodings=dict.fromkeys(("time", "revision", "window_minutes", "offset"), _NEAR),
)

_BAR_ROWS = _schema(
    ("exchange", _TEXT), ("symbol", _TEXT), ("kind", _TEXT), ("threshold", PRICE), ("series_begin", TIME),
    ("number", _LONG), ("open_time", TIME), ("close_time", TIME), ("open", PRICE), ("high", PRICE), ("low", PRICE),
    ("close", PRICE), ("volume", PRICE), ("quote_volume", QUOTE), ("trades", _LONG), ("taker_buy_volume", PRICE),
    ("taker_buy_quote_volume", QUOTE), ("first_trade_id", _TEXT), ("last_trade_id", _TEXT), ("remainder", QUOTE),
    ("late_trades", _LONG), ("revision", _LONG), ("status", _TEXT), ("run", _TEXT, None), ("partition", _INT),
    ("offset", _LONG),
)  # fmt: skip
BARS = Dataset(
    name="bars",
    reading=_row_by_row(
        decode_bar,
        _BAR_ROWS,
        {
            **_of_model("exchange", "symbol", "kind", "threshold", "number", "open", "high", "low", "close"),
            **_of_model("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
            **_of_model("first_trade_id", "last_trade_id", "remainder", "late_trades", "revision", "status"),
            "series_begin": attrgetter("model.series_begin_us"),
            "open_time": attrgetter("model.open_time_us"),
            "close_time": attrgetter("model.close_time_us"),
            **_PLACE,
        },
    ),
    schema=_BAR_ROWS,
    time="close_time",
    repeating=["exchange", "symbol", "kind", "threshold", "series_begin", "status", "run", "partition"],
    encodings=dict.fromkeys(("number", "open_time", "close_time", "late_trades", "revision", "offset"), _NEAR)
    | dict.fromkeys(("first_trade_id", "last_trade_id"), "DELTA_BYTE_ARRAY"),
)
