"""Rows of the warm and the cold store, back as the topics' models: the reverse of `sinks.columns`. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from market.candle import Candle, Status
from market.errors import MalformedError
from market.timeframe import Timeframe
from market.trade import Side, Source, Trade

StoredRow = Mapping[str, Any]
"""Column → value, as a store's client gives it: decimals exact, times UTC with their zone."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)
_US = dt.timedelta(microseconds=1)
_OF_CANDLE = (
    "exchange", "symbol", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id", "last_trade_id", "revision",
)  # fmt: skip
_OF_TRADE = ("exchange", "symbol", "trade_id", "price", "qty", "seq")


def decode_candle_row(row: StoredRow) -> Candle:
    """A candle; its close time follows from the timeframe. Raises `MalformedError`."""
    with malformed_rows("candle"):
        open_time_ms, timeframe = epoch_ms(row["open_time"]), Timeframe(row["timeframe"])
        return Candle(
            **{name: row[name] for name in _OF_CANDLE},
            timeframe=timeframe,
            open_time_ms=open_time_ms,
            close_time_ms=timeframe.end_ms(open_time_ms) - 1,
            status=Status(row["status"]),
        )


def decode_trade_row(row: StoredRow) -> Trade:
    """A trade. Raises `MalformedError`."""
    with malformed_rows("trade"):
        return Trade(
            **{name: row[name] for name in _OF_TRADE},
            side=Side(row["side"]),
            time_us=(row["time"] - _EPOCH) // _US,
            received_us=(row["received"] - _EPOCH) // _US,
            source=Source(row["source"]),
        )


def epoch_ms(time: dt.datetime) -> int:
    """UTC milliseconds."""
    return (time - _EPOCH) // _MS


@contextmanager
def malformed_rows(what: str) -> Iterator[None]:
    """`MalformedError` for a row of another schema, or with values that we never write."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"no row of a {what}: {error!r}") from error
