"""Rows of the warm and the cold store as the models that the topics carry. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from market.candle import Candle, Status
from market.errors import MalformedError
from market.ticker import Ticker, Window
from market.timeframe import Timeframe
from market.trade import Side, Source, Trade

Row = Mapping[str, Any]
"""Column → value, as the sinks' readers give it; times are UTC, with their zone."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)
_US = dt.timedelta(microseconds=1)
_OF_CANDLE = (
    "exchange", "symbol", "timeframe", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id", "revision",
)  # fmt: skip
_OF_TRADE = ("exchange", "symbol", "trade_id", "price", "qty", "seq")
_OF_WINDOW = (
    "minutes", "open", "high", "low", "close", "change", "change_percent", "vwap", "volume", "quote_volume",
    "taker_buy_volume", "trades",
)  # fmt: skip


def candle_of(row: Row) -> Candle:
    """A candle; its close time follows from the timeframe."""
    with _malformed("candle"):
        open_time_ms = (row["open_time"] - _EPOCH) // _MS
        return Candle(
            **{name: row[name] for name in _OF_CANDLE},
            open_time_ms=open_time_ms,
            close_time_ms=Timeframe(row["timeframe"]).end_ms(open_time_ms) - 1,
            status=Status(row["status"]),
        )


def trade_of(row: Row) -> Trade:
    """A trade."""
    with _malformed("trade"):
        return Trade(
            **{name: row[name] for name in _OF_TRADE},
            side=Side(row["side"]),
            time_us=(row["time"] - _EPOCH) // _US,
            received_us=(row["received"] - _EPOCH) // _US,
            source=Source(row["source"]),
        )


def ticker_of(rows: Sequence[Row]) -> Ticker | None:
    """A ticker out of its windows' rows; of rows of several times only the newest. None without rows."""
    if not rows:
        return None
    with _malformed("ticker"):
        newest = max(rows, key=lambda row: row["time"])
        return Ticker(
            exchange=newest["exchange"],
            symbol=newest["symbol"],
            time_ms=(newest["time"] - _EPOCH) // _MS,
            last=newest["last"],
            live=newest["live"],
            revision=newest["revision"],
            windows={row["window"]: _window(row) for row in rows if row["time"] == newest["time"]},
        )


def _window(row: Row) -> Window:
    return Window(**{name: row[name] for name in _OF_WINDOW}, status=Status(row["status"]))


@contextmanager
def _malformed(what: str) -> Iterator[None]:
    """A row of another schema, or with values that we never write."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"no row of a {what}: {error!r}") from error
