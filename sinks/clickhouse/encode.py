"""Records as rows of the warm store's tables. Pure.

Trades go by columns, as they come from `sinks.trade_rows`; all other records one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from market.codec import (
    decode_bar,
    decode_candle,
    decode_feed_event,
    decode_funding_rate,
    decode_instrument,
    decode_signal,
    decode_ticker,
)
from market.funding import FundingKind
from market.records import BareRecord
from market.ticker import Ticker
from sinks.columns import PERCENT, PRICE, QUOTE, TIME, Column, table
from sinks.encoded import Encoded
from sinks.rows import Row, decode_rows

_MS = pa.timestamp("ms", tz="UTC")
_SIZES = (
    "last", "open", "high", "low", "close", "volume", "taker_buy_volume", "change", "vwap",
    "rate", "mark_price", "tick", "lot", "contract", "taker_buy_share", "realised_volatility", "threshold",
)  # fmt: skip
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(_SIZES, PRICE),
    "quote_volume": QUOTE,
    "taker_buy_quote_volume": QUOTE,
    "remainder": QUOTE,
    "change_percent": PERCENT,
    "from_time": TIME,
    "until_time": TIME,
    "open_time": _MS,
    "close_time": _MS,
    "at": _MS,
    "time": _MS,
    "next_time": _MS,
    "since": _MS,
    "series_begin": TIME,
    "number": pa.uint64(),
    "late_trades": pa.uint64(),
    "precedence": pa.uint64(),
    "trades": pa.uint64(),
    "minutes": pa.uint64(),
    "missing": pa.uint64(),
    "window_minutes": pa.uint64(),
    "values": pa.map_(pa.string(), PRICE),
    "revision": pa.uint64(),
    "live": pa.bool_(),
    "partition": pa.uint16(),
    "offset": pa.uint64(),
}
_PLACE: dict[str, Column] = {"partition": attrgetter("partition"), "offset": attrgetter("record.offset")}


class Table(NamedTuple):
    """How records become rows of one table."""

    name: str
    decode: Callable[[bytes], Any]
    columns: Mapping[str, Column]
    schema: pa.Schema
    spread: Callable[[Sequence[Row]], Iterator[Row]] = iter
    """Makes several rows of one record, if the table has several for it."""


def _table(
    name: str,
    decode: Callable[[bytes], Any],
    columns: Mapping[str, Column],
    *,
    spread: Callable[[Sequence[Row]], Iterator[Row]] = iter,
    **types: pa.DataType,
) -> Table:
    """`types` are those of columns that have another type here than under their name elsewhere."""
    schema = pa.schema([(column, types.get(column, _TYPES.get(column, pa.string()))) for column in columns])
    return Table(name, decode, columns, schema, spread)


def _of_model(*names: str, **renamed: str) -> dict[str, Column]:
    return {name: attrgetter(f"model.{renamed.get(name, name)}") for name in (*names, *renamed)}


def _run(row: Row) -> str:
    return row.run or ""


CANDLES = _table(
    "candles",
    decode_candle,
    {
        **_of_model("exchange", "symbol", "timeframe", "open", "high", "low", "close", "volume", "quote_volume"),
        **_of_model("trades", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
        **_of_model("revision", "status", open_time="open_time_ms", close_time="close_time_ms"),
        "run": _run,
        **_PLACE,
    },
)
BARS = _table(
    "bars",
    decode_bar,
    {
        **_of_model("exchange", "symbol", "kind", "threshold", "number", series_begin="series_begin_us"),
        **_of_model(open_time="open_time_us", close_time="close_time_us"),
        **_of_model("open", "high", "low", "close", "volume", "quote_volume", "trades"),
        **_of_model("taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
        **_of_model("remainder", "late_trades", "revision", "status"),
        "run": _run,
        **_PLACE,
    },
    open_time=TIME,
    close_time=TIME,
)
FEEDS = _table(
    "feeds",
    decode_feed_event,
    {
        **_of_model("exchange", "symbol", "event", "first_id", "last_id", "run", "reason"),
        "at": attrgetter("model.at_ms"),
        **_of_model(from_time="from_us", until_time="until_us"),
        **_PLACE,
    },
)


class _TickerWindow(NamedTuple):
    ticker: Ticker
    name: str
    window: Any


def _windows(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        for name, window in row.model.windows.items():
            yield row._replace(model=_TickerWindow(row.model, name, window))


_OF_WINDOW = (
    "minutes", "open", "high", "low", "close", "change", "change_percent", "vwap",
    "volume", "quote_volume", "taker_buy_volume", "trades", "status", "missing", "taker_buy_share",
    "realised_volatility",
)  # fmt: skip
TICKERS = _table(
    "tickers",
    decode_ticker,
    {
        **_of_model(window="name", time="ticker.time_ms"),
        **{name: attrgetter(f"model.ticker.{name}") for name in ("exchange", "symbol", "last", "live", "revision")},
        **{name: attrgetter(f"model.window.{name}") for name in _OF_WINDOW},
        "since": attrgetter("model.window.since_ms"),
        **_PLACE,
    },
    spread=_windows,
)


def _funding_precedence(row: Row) -> int:
    """A settled rate counts before an expected one; of several of a kind the last in the log counts."""
    return int(row.record.offset) + (1 << 63 if row.model.kind is FundingKind.SETTLED else 0)


FUNDING = _table(
    "funding",
    decode_funding_rate,
    {
        **_of_model("exchange", "symbol", "rate", "kind", "mark_price", time="time_ms", next_time="next_time_ms"),
        **_PLACE,
        "precedence": _funding_precedence,
    },
)
INSTRUMENTS = _table(
    "instruments",
    decode_instrument,
    {
        **_of_model("exchange", "symbol", "native", "base", "quote", "status"),
        **_of_model("tick", "lot", "contract", since="since_ms"),
        **_PLACE,
    },
)
SIGNALS = _table(
    "signals",
    decode_signal,
    {
        **_of_model("exchange", "symbol", "kind", "window_minutes", "state", "severity", "revision", time="time_ms"),
        "other": lambda row: row.model.other or "",
        "values": lambda row: list(row.model.values.items()),
        **_PLACE,
    },
)
TRADES = "trades"
_AS_THEY_ARE = (
    "exchange", "symbol", "time", "price", "qty", "side", "received", "source", "partition", "seq", "precedence",
    "offset",
)  # fmt: skip
_NO_NUMBER = -1


def encode(into: Table, partition: int, records: Sequence[BareRecord], partitions: int) -> Encoded:
    """Records of one partition, in a topic of so many, as an Arrow table; malformed ones are refused."""
    rows, malformed = decode_rows(partition, records, into.decode, partitions)
    encoded = table(list(into.spread(rows)), into.schema, into.columns)
    return Encoded(encoded, encoded.num_rows, malformed)


def encode_trades(read: Encoded) -> Encoded:
    """Rows of `TRADE_ROWS` with their ids as the table `trades` keeps them: as a number and no text, or else as a text.

    The column `offset` is not kept: the table computes it from `precedence`.
    """
    rows = read.chunk
    number, run = rows["number"], rows["run"]
    empty = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), len(rows)), [""])
    # Whatever they hold, of one type: the tables of several partitions go into one insert.
    id_text = pc.if_else(pc.is_null(number), rows["trade_id"], "").dictionary_encode() if number.null_count else empty
    columns = {name: rows[name] for name in _AS_THEY_ARE} | {
        "id_number": pc.fill_null(number, _NO_NUMBER),
        "id_text": id_text,
        "run": empty if run.null_count == len(rows) else pc.fill_null(run.cast(pa.string()), "").dictionary_encode(),
    }
    return read._replace(chunk=pa.table(columns))
