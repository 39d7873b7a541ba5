"""Records of the stores as Arrow tables in the form of their topics, and which of several copies counts. Pure.

A table has the topic's fields, in their order, then columns that are not told: `PRECEDENCE` and the places in the log.
Times are integers under the topic's names (`time_us`, `at_ms`), amounts decimals of 38 digits.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from market.timeframe import MINUTE_MS, MINUTE_US
from market.trade import Trade
from sinks.columns import PRICE, QUOTE

PRECEDENCE = "precedence"
"""Of several copies of a record the one of the greatest counts."""
COUNTS = pa.schema([("minute", pa.int64()), ("trades", pa.int64()), ("status", pa.string())])
AMOUNTS = pa.map_(pa.string(), PRICE)
_TEXT, _LONG = pa.string(), pa.int64()
_PLACE = pa.schema([("partition", _LONG), ("offset", _LONG)])
_NO_PLACE = pa.schema([])
_US_A_MS = 1000
_NUMBER = r"^(0|[1-9][0-9]{0,17})$"
"""As `market.trade.numeric_id` has it."""

Cursor = tuple[int | str, ...]
"""The values of a record in the columns that its kind is in order by."""


class RecordKind(StrEnum):
    """What can be read by time, but for instruments, which have none."""

    TRADES = "trades"
    CANDLES = "candles"
    """Of one minute."""
    SIGNALS = "signals"
    BARS = "bars"
    FUNDING = "funding"
    GAPS = "gaps"
    INSTRUMENTS = "instruments"


class RecordForm(NamedTuple):
    """How tables of a kind are made."""

    told: pa.Schema
    """What is told of a record."""
    time: str
    """The column by which they are asked; of instruments it is none of `told`."""
    key: tuple[str, ...]
    """Records with the same values here are copies of one, within a market."""
    order: tuple[str, ...]
    place: pa.Schema = _NO_PLACE
    omits_null: bool = False
    """Whether the topic's JSON leaves out what has no value."""

    @property
    def schema(self) -> pa.Schema:
        """Of the tables that the stores give."""
        return pa.schema([*self.told, pa.field(PRECEDENCE, pa.uint64()), *self.place])

    @property
    def unit_us(self) -> int:
        """Of the column `time`, in microseconds."""
        return 1 if self.time.endswith("_us") else _US_A_MS


def _told(*names: str, **types: pa.DataType) -> pa.Schema:
    """Texts, but for those whose type is given, and times."""
    return pa.schema([(name, types.get(name, _LONG if name.endswith(("_us", "_ms")) else _TEXT)) for name in names])


_PRICES = dict.fromkeys(("open", "high", "low", "close", "volume", "taker_buy_volume", "threshold"), PRICE)
_QUOTES = dict.fromkeys(("quote_volume", "taker_buy_quote_volume", "remainder"), QUOTE)
_COUNTS = dict.fromkeys(("trades", "revision", "number", "late_trades", "window_minutes", "seq"), _LONG)
_NUMBERS = _PRICES | _QUOTES | _COUNTS
_BAR_SUMS = (
    "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume",
    "first_trade_id", "last_trade_id",
)  # fmt: skip

FORMS: Mapping[RecordKind, RecordForm] = {
    RecordKind.TRADES: RecordForm(
        _told(
            "exchange", "symbol", "trade_id", "price", "qty", "side", "time_us", "received_us", "source", "seq",
            price=PRICE, qty=PRICE, **_NUMBERS,
        ),
        "time_us", ("minute", "trade_id"), ("time_us", "id_is_text", "id_place", "id_text"), omits_null=True,
    ),
    RecordKind.CANDLES: RecordForm(
        _told(
            "exchange", "symbol", "timeframe", "open_time_ms", "close_time_ms", *_BAR_SUMS, "revision", "status",
            **_NUMBERS,
        ),
        "open_time_ms", ("open_time_ms",), ("open_time_ms",),
    ),
    RecordKind.SIGNALS: RecordForm(
        _told(
            "exchange", "symbol", "kind", "state", "severity", "time_ms", "revision", "other", "window_minutes",
            "values", values=AMOUNTS, **_NUMBERS,
        ),
        "time_ms", ("kind", "other", "window_minutes", "time_ms"), ("time_ms", "kind", "other", "window_minutes"),
    ),
    RecordKind.BARS: RecordForm(
        _told(
            "exchange", "symbol", "kind", "threshold", "series_begin_us", "number", "open_time_us", "close_time_us",
            *_BAR_SUMS, "remainder", "late_trades", "revision", "status", **_NUMBERS,
        ),
        "close_time_us", ("series_begin_us", "number"), ("close_time_us", "series_begin_us", "number"),
    ),
    RecordKind.FUNDING: RecordForm(
        _told(
            "exchange", "symbol", "time_ms", "rate", "kind", "next_time_ms", "mark_price", rate=PRICE, mark_price=PRICE
        ),
        "time_ms", ("time_ms",), ("time_ms",),
    ),
    RecordKind.GAPS: RecordForm(
        _told("exchange", "symbol", "event", "at_ms", "first_id", "last_id", "from_us", "until_us", "run", "reason"),
        "at_ms", ("partition", "offset"), ("at_ms", "partition", "offset"), _PLACE, omits_null=True,
    ),
    RecordKind.INSTRUMENTS: RecordForm(
        _told(
            "exchange", "symbol", "native", "base", "quote", "status", "tick", "lot", "contract", "since_ms",
            tick=PRICE, lot=PRICE, contract=PRICE,
        ),
        "logged", ("symbol",), ("symbol",),
    ),
}  # fmt: skip


def empty(kind: RecordKind) -> pa.Table:
    """No records."""
    return FORMS[kind].schema.empty_table()


def arrange(kind: RecordKind, tables: Sequence[pa.Table], *, is_first: bool = False) -> pa.Table:
    """Each record once, in order, with all columns that its kind has in order by.

    Of several copies that of the greatest precedence is kept, or of the least, if `is_first`.
    """
    form = FORMS[kind]
    rows = _with_id_columns(pa.concat_tables(tables)) if kind is RecordKind.TRADES else pa.concat_tables(tables)
    rows = rows.take(pc.sort_indices(rows[PRECEDENCE]))
    numbered = rows.select(form.key).append_column("row", pa.array(np.arange(len(rows))))
    kept = numbered.group_by(list(form.key), use_threads=False).aggregate([("row", "min" if is_first else "max")])
    if len(kept) < len(rows):
        rows = rows.take(kept["row_min" if is_first else "row_max"])
    return rows.take(pc.sort_indices(rows, [(name, "ascending", "at_start") for name in form.order]))


def times_us(kind: RecordKind, rows: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """When the records are, by the column that they are asked by."""
    form = FORMS[kind]
    return rows[form.time].to_numpy() * form.unit_us  # type: ignore[no-any-return]


def cursor_of(kind: RecordKind, rows: pa.Table, row: int) -> Cursor:
    """Where a record stands in the order; what has no value is the empty text."""
    values = (rows[name][row].as_py() for name in FORMS[kind].order)
    return tuple("" if value is None else value for value in values)


def is_cursor(kind: RecordKind, values: Sequence[object]) -> bool:
    """Whether these can be a cursor into records of that kind."""
    texts = _are_texts(kind)
    return len(values) == len(texts) and all(
        type(value) is (str if is_text else int) and (is_text or -1 <= value < 1 << 60)  # type: ignore[operator]
        for value, is_text in zip(values, texts, strict=True)
    )


def _are_texts(kind: RecordKind) -> list[bool]:
    """Of the values of a cursor."""
    form = FORMS[kind]
    return [
        name == "id_text" or (name in form.told.names and form.told.field(name).type == _TEXT) for name in form.order
    ]


def cursor_us(kind: RecordKind, cursor: Cursor) -> int:
    """The time of the record."""
    return int(cursor[0]) * FORMS[kind].unit_us


def cursor_after(kind: RecordKind, time_us: int) -> Cursor:
    """Behind all records before a time, and before those of it."""
    names = FORMS[kind].order
    if len(names) == 1:
        return (time_us // FORMS[kind].unit_us - 1,)
    return (time_us // FORMS[kind].unit_us, *("" if is_text else -1 for is_text in _are_texts(kind)[1:]))


def trade_rows(trades: Sequence[Trade]) -> pa.Table:
    """Trades out of the log or the hot store: of copies, those of other stores count before them."""
    told = FORMS[RecordKind.TRADES].told
    columns = {field.name: pa.array([getattr(trade, field.name) for trade in trades], field.type) for field in told}
    return pa.table({**columns, PRECEDENCE: pa.array([0] * len(trades), pa.uint64())})


def count_columns(candles: pa.Table) -> pa.Table:
    """Of 1m candles the minute since 1970, how many trades they have, and their status: `COUNTS`."""
    minutes = candles["open_time_ms"].to_numpy() // MINUTE_MS
    return pa.table({"minute": minutes, "trades": candles["trades"], "status": candles["status"]}).cast(COUNTS)


def _with_id_columns(rows: pa.Table) -> pa.Table:
    """The order of `market.candle.trade_order`, and the minute, in which an id is one trade."""
    ids = rows["trade_id"]
    is_number = pc.match_substring_regex(ids, _NUMBER)
    numbers = pc.cast(pc.if_else(is_number, ids, None), _LONG)
    minutes = pa.array(rows["time_us"].to_numpy() // MINUTE_US)
    return (
        rows.append_column("minute", minutes)
        .append_column("id_is_text", pc.cast(pc.invert(is_number), _LONG))
        .append_column("id_place", pc.coalesce(numbers, rows["seq"], -1))
        .append_column("id_text", pc.if_else(is_number, "", ids))
    )
