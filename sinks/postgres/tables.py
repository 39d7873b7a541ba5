"""The tables: how records become rows of them, how rows are staged, and which of two versions stays. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from market.codec import (
    decode_bar,
    decode_candle,
    decode_feed_event,
    decode_funding_rate,
    decode_instrument,
    decode_signal,
    decode_ticker,
)
from market.decimals import plain
from market.funding import FundingKind
from market.ticker import Ticker
from sinks.columns import Column
from sinks.rows import Row


class _Type(NamedTuple):
    arrow: pa.DataType
    staged: str
    """Its type in the staging table, which holds what the rows' CSV says."""
    stored: str
    """Its type in the table, in PostgreSQL's own words."""
    convert: str = "{}"
    """SQL that makes the stored value of the staged one. The interval's arithmetic is exact below 2^53."""


class ColumnType(Enum):
    """The types of columns. Times are staged as whole numbers: written as texts they would cost most of all."""

    TEXT = _Type(pa.string(), "text", "text")
    BOOL = _Type(pa.bool_(), "boolean", "boolean")
    SMALL = _Type(pa.int32(), "integer", "integer")
    WHOLE = _Type(pa.int64(), "bigint", "bigint")
    AMOUNT = _Type(pa.string(), "numeric", "numeric", "trim_scale({})")
    JSON = _Type(pa.string(), "jsonb", "jsonb")
    TIME_US = _Type(
        pa.int64(), "bigint", "timestamp with time zone", "timestamptz 'epoch' + {} * interval '1 microsecond'"
    )
    TIME_MS = _Type(
        pa.int64(), "bigint", "timestamp with time zone", "timestamptz 'epoch' + {} * interval '1 millisecond'"
    )


_TIME_UNITS = {ColumnType.TIME_US: "us", ColumnType.TIME_MS: "ms"}


class PostgresTable(NamedTuple):
    """A table with the topic's records."""

    name: str
    key: Sequence[str]
    types: Mapping[str, ColumnType]
    """Of every column that is staged."""
    rank: str
    """SQL over a row's columns, each written ``{0}COLUMN``: of two versions the one of the greater rank stays."""
    decode: Callable[[bytes], Any] | None = None
    """None: its records are read by columns, as trades are."""
    columns: Mapping[str, Column] = {}
    spread: Callable[[Sequence[Row]], Iterator[Row]] = iter
    """Makes several rows of one record, if the table has several for it."""
    parted_by: str | None = None
    """The column by whose month plain PostgreSQL parts the table."""
    derived: Mapping[str, str] = {}
    """Stored columns that are not staged: SQL over staged ones."""

    @property
    def schema(self) -> pa.Schema:
        """The staged columns."""
        return pa.schema([(name, type_.value.arrow) for name, type_ in self.types.items()])

    @property
    def stored(self) -> dict[str, str]:
        """Column → type, of the table itself."""
        staged = {name: type_.value.stored for name, type_ in self.types.items()}
        return staged | dict.fromkeys(self.derived, ColumnType.TIME_US.value.stored)

    def months(self, rows: pa.Table) -> set[str]:
        """The months that these rows lie in, as ``2026-01``; none of a table that is not parted."""
        if self.parted_by is None:
            return set()
        times = rows[self.parted_by].to_numpy().astype(f"datetime64[{_TIME_UNITS[self.types[self.parted_by]]}]")
        return {str(month) for month in np.unique(times.astype("datetime64[M]"))}

    def staging(self) -> str:
        """SQL that makes the staging table of a connection; it is empty at the end of each transaction."""
        columns = ", ".join(f"{_quoted(name)} {type_.value.staged}" for name, type_ in self.types.items())
        return f"CREATE TEMP TABLE staged_{self.name} ({columns}) ON COMMIT DELETE ROWS"

    def upsert(self) -> str:
        """SQL that moves what is staged into the table. It goes by key, so that two writers do not lock each other out.

        Whoever wrote last, of two versions the greater rank stays: a writer that was paused takes nothing back.
        """
        staged = {name: type_.value.convert.format(_quoted(name)) for name, type_ in self.types.items()}
        values = {**staged, **self.derived}
        names, key = ", ".join(map(_quoted, values)), ", ".join(map(_quoted, self.key))
        selected = ", ".join(f"{value} AS {_quoted(name)}" for name, value in values.items())
        replaced = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in values if name not in self.key)
        return (
            f"INSERT INTO {self.name} ({names}) "  # noqa: S608  # names of our own
            f"SELECT DISTINCT ON ({key}) {names} FROM (SELECT {selected} FROM staged_{self.name}) AS staged "
            f"ORDER BY {key}, {self.rank.format('')} DESC "
            f"ON CONFLICT ({key}) DO UPDATE SET {replaced} "
            f"WHERE {self.rank.format(f'{self.name}.')} < {self.rank.format('excluded.')}"
        )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _of_model(*names: str, **renamed: str) -> dict[str, Column]:
    return {name: attrgetter(f"model.{renamed.get(name, name)}") for name in (*names, *renamed)}


def _amounts(*names: str, model: str = "model") -> dict[str, Column]:
    def column(name: str) -> Column:
        amount: Callable[[Row], Decimal | None] = attrgetter(f"{model}.{name}")

        def text(row: Row) -> str | None:
            value = amount(row)
            return None if value is None else plain(value)

        return text

    return {name: column(name) for name in names}


_PLACE: dict[str, Column] = {"partition": attrgetter("partition"), "offset": attrgetter("record.offset")}
_PLACE_TYPES = {"partition": ColumnType.SMALL, "offset": ColumnType.WHOLE}
_TEXT, _WHOLE, _AMOUNT = ColumnType.TEXT, ColumnType.WHOLE, ColumnType.AMOUNT

TRADES = PostgresTable(
    name="trades",
    key=("exchange", "symbol", "minute", "trade_id"),
    types={
        **dict.fromkeys(("exchange", "symbol", "trade_id"), _TEXT),
        **dict.fromkeys(("price", "qty"), _AMOUNT),
        **dict.fromkeys(("side", "source"), _TEXT),
        **dict.fromkeys(("time", "received"), ColumnType.TIME_US),
        "run": _TEXT,
        "seq": _WHOLE,
        **_PLACE_TYPES,
    },
    # The precedence of `sinks.rows`, less 2^63: PostgreSQL has no unsigned numbers.
    rank='CASE WHEN {0}run IS NULL THEN -1 - {0}"offset" ELSE {0}"offset" END',
    parted_by="time",
    derived={"minute": "timestamptz 'epoch' + time / 60000000 * interval '1 minute'"},
)
_CANDLE_AMOUNTS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip
CANDLES = PostgresTable(
    name="candles",
    key=("exchange", "symbol", "timeframe", "open_time"),
    types={
        **dict.fromkeys(("exchange", "symbol", "timeframe"), _TEXT),
        **dict.fromkeys(("open_time", "close_time"), ColumnType.TIME_MS),
        **dict.fromkeys(_CANDLE_AMOUNTS, _AMOUNT),
        "trades": _WHOLE,
        **dict.fromkeys(("first_trade_id", "last_trade_id"), _TEXT),
        "revision": _WHOLE,
        **dict.fromkeys(("status", "run"), _TEXT),
        **_PLACE_TYPES,
    },
    rank="{0}revision",
    decode=decode_candle,
    columns={
        **_of_model("exchange", "symbol", "timeframe", "trades", "first_trade_id", "last_trade_id"),
        **_of_model("revision", "status", open_time="open_time_ms", close_time="close_time_ms"),
        **_amounts(*_CANDLE_AMOUNTS),
        "run": attrgetter("run"),
        **_PLACE,
    },
    parted_by="open_time",
)


class _WindowOfTicker(NamedTuple):
    ticker: Ticker
    name: str
    window: Any


def _windows(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        for name, window in row.model.windows.items():
            yield row._replace(model=_WindowOfTicker(row.model, name, window))


_WINDOW_AMOUNTS = (
    "open", "high", "low", "close", "change", "change_percent", "vwap", "volume", "quote_volume", "taker_buy_volume",
    "taker_buy_share", "realised_volatility",
)  # fmt: skip
TICKERS = PostgresTable(
    name="tickers",
    key=("exchange", "symbol", "window", "time"),
    types={
        **dict.fromkeys(("exchange", "symbol", "window"), _TEXT),
        "time": ColumnType.TIME_MS,
        "last": _AMOUNT,
        "live": ColumnType.BOOL,
        **dict.fromkeys(("revision", "minutes", "trades", "missing"), _WHOLE),
        "since": ColumnType.TIME_MS,
        **dict.fromkeys(_WINDOW_AMOUNTS, _AMOUNT),
        "status": _TEXT,
        **_PLACE_TYPES,
    },
    rank="{0}revision",
    decode=decode_ticker,
    columns={
        **{name: attrgetter(f"model.ticker.{name}") for name in ("exchange", "symbol", "live", "revision")},
        **_of_model(window="name", time="ticker.time_ms"),
        **_amounts("last", model="model.ticker"),
        **{name: attrgetter(f"model.window.{name}") for name in ("minutes", "trades", "status", "missing")},
        "since": attrgetter("model.window.since_ms"),
        **_amounts(*_WINDOW_AMOUNTS, model="model.window"),
        **_PLACE,
    },
    spread=_windows,
    parted_by="time",
)
FUNDING = PostgresTable(
    name="funding",
    key=("exchange", "symbol", "time"),
    types={
        **dict.fromkeys(("exchange", "symbol"), _TEXT),
        "time": ColumnType.TIME_MS,
        "rate": _AMOUNT,
        "kind": _TEXT,
        "next_time": ColumnType.TIME_MS,
        "mark_price": _AMOUNT,
        **_PLACE_TYPES,
    },
    # What was paid counts before what was expected; else the last word of the log.
    rank=f"({{0}}kind = '{FundingKind.SETTLED}', {{0}}\"offset\")",
    decode=decode_funding_rate,
    columns={
        **_of_model("exchange", "symbol", "kind", time="time_ms", next_time="next_time_ms"),
        **_amounts("rate", "mark_price"),
        **_PLACE,
    },
    parted_by="time",
)
FEEDS = PostgresTable(
    name="feeds",
    key=("exchange", "symbol", "at", "partition", "offset"),
    types={
        **dict.fromkeys(("exchange", "symbol"), _TEXT),
        "at": ColumnType.TIME_MS,
        **dict.fromkeys(("event", "first_id", "last_id"), _TEXT),
        **dict.fromkeys(("from_time", "until_time"), ColumnType.TIME_US),
        **dict.fromkeys(("run", "reason"), _TEXT),
        **_PLACE_TYPES,
    },
    rank='{0}"offset"',
    decode=decode_feed_event,
    columns={
        **_of_model("exchange", "symbol", "event", "first_id", "last_id", "run", "reason"),
        "at": attrgetter("model.at_ms"),
        **_of_model(from_time="from_us", until_time="until_us"),
        **_PLACE,
    },
    parted_by="at",
)
INSTRUMENTS = PostgresTable(
    name="instruments",
    key=("exchange", "symbol"),
    types={
        **dict.fromkeys(("exchange", "symbol", "native", "base", "quote", "status"), _TEXT),
        **dict.fromkeys(("tick", "lot"), _AMOUNT),
        "since": ColumnType.TIME_MS,
        **_PLACE_TYPES,
    },
    rank='{0}"offset"',
    decode=decode_instrument,
    columns={
        **_of_model("exchange", "symbol", "native", "base", "quote", "status", since="since_ms"),
        **_amounts("tick", "lot"),
        **_PLACE,
    },
)


def _values(row: Row) -> str:
    """Decimals in strings, as in the topic: most programs read a number of JSON as a float."""
    return orjson.dumps({name: plain(value) for name, value in row.model.values.items()}).decode()


SIGNALS = PostgresTable(
    name="signals",
    key=("exchange", "symbol", "kind", "other", "window_minutes", "time"),
    types={
        **dict.fromkeys(("exchange", "symbol", "kind", "other"), _TEXT),
        "window_minutes": _WHOLE,
        "time": ColumnType.TIME_MS,
        **dict.fromkeys(("state", "severity"), _TEXT),
        "values": ColumnType.JSON,
        "revision": _WHOLE,
        **_PLACE_TYPES,
    },
    # Other rules tell the same minute in another way: then the last word of the log.
    rank='({0}revision, {0}"offset")',
    decode=decode_signal,
    columns={
        **_of_model("exchange", "symbol", "kind", "window_minutes", "state", "severity", "revision", time="time_ms"),
        "other": lambda row: row.model.other or "",
        "values": _values,
        **_PLACE,
    },
    parted_by="time",
)
_BAR_AMOUNTS = (*_CANDLE_AMOUNTS, "threshold", "remainder")
BARS = PostgresTable(
    name="bars",
    # A bar's range never changes; the month is of its end, so that this has to be in the key.
    key=("exchange", "symbol", "kind", "threshold", "run", "series_begin", "number", "close_time"),
    types={
        **dict.fromkeys(("exchange", "symbol", "kind", "run"), _TEXT),
        **dict.fromkeys(("series_begin", "open_time", "close_time"), ColumnType.TIME_US),
        **dict.fromkeys(_BAR_AMOUNTS, _AMOUNT),
        **dict.fromkeys(("number", "trades", "late_trades", "revision"), _WHOLE),
        **dict.fromkeys(("first_trade_id", "last_trade_id", "status"), _TEXT),
        **_PLACE_TYPES,
    },
    rank="{0}revision",
    decode=decode_bar,
    columns={
        **_of_model("exchange", "symbol", "kind", "number", "trades", "late_trades", "revision", "status"),
        **_of_model("first_trade_id", "last_trade_id", series_begin="series_begin_us"),
        **_of_model(open_time="open_time_us", close_time="close_time_us"),
        **_amounts(*_BAR_AMOUNTS),
        "run": lambda row: row.run or "",
        **_PLACE,
    },
    parted_by="close_time",
)
TABLES = (TRADES, CANDLES, TICKERS, FUNDING, FEEDS, INSTRUMENTS, SIGNALS, BARS)
