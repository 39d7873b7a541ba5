"""Records as rows of the warm store's tables. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from market.codec import decode_candle, decode_feed_event, decode_ticker, decode_trade
from market.records import BareRecord
from market.ticker import Ticker
from sinks.columns import PERCENT, PRICE, QUOTE, TIME, Column, table
from sinks.encoded import Encoded
from sinks.rows import Row, decode_rows, precedence

_MS = pa.timestamp("ms", tz="UTC")
_SIZES = ("price", "qty", "last", "open", "high", "low", "close", "volume", "taker_buy_volume", "change", "vwap")
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(_SIZES, PRICE),
    "quote_volume": QUOTE,
    "taker_buy_quote_volume": QUOTE,
    "change_percent": PERCENT,
    "time": TIME,
    "received": TIME,
    "from_time": TIME,
    "until_time": TIME,
    "open_time": _MS,
    "close_time": _MS,
    "at": _MS,
    "seq": pa.int64(),
    "precedence": pa.uint64(),
    "trades": pa.uint64(),
    "minutes": pa.uint64(),
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
    known = _TYPES | types
    schema = pa.schema([(column, known.get(column, pa.string())) for column in columns])
    return Table(name, decode, columns, schema, spread)


def _of_model(*names: str, **renamed: str) -> dict[str, Column]:
    return {name: attrgetter(f"model.{renamed.get(name, name)}") for name in (*names, *renamed)}


def _run(row: Row) -> str:
    return row.run or ""


def _precedence(row: Row) -> int:
    return precedence(row.run, row.record.offset)


TRADES = _table(
    "trades",
    decode_trade,
    {
        **_of_model("exchange", "symbol", "trade_id", "price", "qty", "side", "source", "seq"),
        **_of_model(time="time_us", received="received_us"),
        "run": _run,
        "precedence": _precedence,
        **_PLACE,
    },
)
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
    "volume", "quote_volume", "taker_buy_volume", "trades", "status",
)  # fmt: skip
TICKERS = _table(
    "tickers",
    decode_ticker,
    {
        **_of_model(window="name", time="ticker.time_ms"),
        **{name: attrgetter(f"model.ticker.{name}") for name in ("exchange", "symbol", "last", "live", "revision")},
        **{name: attrgetter(f"model.window.{name}") for name in _OF_WINDOW},
        **_PLACE,
    },
    spread=_windows,
    time=_MS,
)


def encode(into: Table, partition: int, records: Sequence[BareRecord], partitions: int) -> Encoded:
    """Records of one partition, in a topic of so many, as an Arrow table; malformed ones are refused."""
    rows, malformed = decode_rows(partition, records, into.decode, partitions)
    encoded = table(list(into.spread(rows)), into.schema, into.columns)
    return Encoded(encoded, encoded.num_rows, malformed)
