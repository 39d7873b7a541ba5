"""What the log says last of longer candles, tickers, bars and signals: the records that stores keep. Pure."""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from candlewick.verify.expected import Fields
from market.records import Record

DataKey = tuple[Any, ...]
"""What tells records of one market and kind apart."""


class KeptKind(StrEnum):
    """The kinds of records that stores keep as they stand in the log."""

    CANDLE = "candle"
    TICKER = "ticker"
    BAR = "bar"
    SIGNAL = "signal"


class KeptRow(NamedTuple):
    """A record as a store has it; of a ticker one window."""

    name: DataKey
    fields: Fields


class LoggedVersion(NamedTuple):
    """What the log says last of one data key."""

    revision: int
    time_us: int
    """Of the market."""
    values: tuple[bytes, ...]
    """The values of the highest revision: as a rule one. A store has to have one of them."""
    run: str
    written_ms: int
    """Append time of the newest."""

    def rows(self, kind: KeptKind) -> Iterator[KeptRow]:
        """Its rows, in each of its forms."""
        for value in self.values:
            yield from rows_of(kind, json.loads(value.decode()), self.run)


CANDLE_AMOUNTS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip
KEPT_AMOUNTS = {
    KeptKind.TICKER: (
        "last", "open", "high", "low", "close", "change", "change_percent", "vwap", "volume", "quote_volume",
        "taker_buy_volume", "taker_buy_share", "realised_volatility",
    ),
    KeptKind.BAR: (*CANDLE_AMOUNTS, "threshold", "remainder"),
    KeptKind.SIGNAL: (),
}  # fmt: skip
"""Fields with amounts, of the kinds that stores have tables for."""
KEPT_FIELDS = {
    KeptKind.TICKER: ("window", "live", "revision", "minutes", "trades", "status", "missing"),
    KeptKind.BAR: ("kind", "number", "trades", "first_trade_id", "last_trade_id", "late_trades", "revision", "status"),
    KeptKind.SIGNAL: ("kind", "window_minutes", "state", "severity", "revision"),
}
"""Fields with texts, whole numbers and truth values, but for a bar's run and a signal's other market."""

LoggedMarket = dict[DataKey, LoggedVersion]
"""What the log says of one kind of records of one market."""


class LoggedKind:
    """What a partition of a topic says last of each record of one kind, by market, and each record by its offset."""

    def __init__(self, kind: KeptKind) -> None:
        self.kind = kind
        self.markets: dict[str, LoggedMarket] = {}
        self.by_offset: dict[int, tuple[bytes, str]] = {}
        """Offset → value, and run."""

    def take(self, record: Record) -> None:
        """Take a record in. Raises `ValueError` and `KeyError` if it is none of this kind."""
        if record.value is None:
            return
        key, fields = (record.key or b"").decode(), json.loads(record.value.decode())
        run = dict(record.headers).get("run", b"").decode()
        self.by_offset[record.offset] = record.value, run
        keep(self.kind, self.markets.setdefault(key, {}), record, fields, run)


def keep(kind: KeptKind, market: LoggedMarket, record: Record, fields: Fields, run: str = "") -> None:
    """Keep a record if no higher revision of it is known; `fields` are those of its value."""
    name, value = _NAMES[kind](fields, run), record.value or b""
    known = market.get(name)
    if known is not None and known.revision > fields["revision"]:
        return
    values: tuple[bytes, ...] = (value,)
    if known is not None and known.revision == fields["revision"]:
        values = known.values if value in known.values else (*known.values, value)
    market[name] = LoggedVersion(fields["revision"], _TIMES_US[kind](fields), values, run, record.timestamp)


def rows_of(kind: KeptKind, fields: Fields, run: str = "") -> Iterator[KeptRow]:
    """A topic's record as rows: a ticker is one for each window."""
    if kind is not KeptKind.TICKER:
        yield row_of(kind, fields, run)
        return
    shared = {name: fields[name] for name in ("exchange", "symbol", "time_ms", "last", "live", "revision")}
    for window, of_window in fields["windows"].items():
        yield row_of(kind, {"window": window, **shared, **of_window})


def row_of(kind: KeptKind, fields: Fields, run: str = "") -> KeptRow:
    """A record as tables have it."""
    name = (fields["window"], fields["time_ms"]) if kind is KeptKind.TICKER else _NAMES[kind](fields, run)
    return KeptRow(name, fields)


_NAMES: dict[KeptKind, Callable[[Fields, str], DataKey]] = {
    KeptKind.CANDLE: lambda candle, _: (candle["timeframe"], candle["open_time_ms"]),
    KeptKind.TICKER: lambda ticker, _: (ticker["time_ms"],),
    KeptKind.BAR: lambda bar, run: (run, bar["kind"], bar["threshold"], bar["series_begin_us"], bar["number"]),
    KeptKind.SIGNAL: lambda signal, _: (
        signal["kind"], signal.get("other") or "", signal["window_minutes"], signal["time_ms"],
    ),
}  # fmt: skip
_TIMES_US: dict[KeptKind, Callable[[Fields], int]] = {
    KeptKind.CANDLE: lambda candle: candle["open_time_ms"] * 1000,
    KeptKind.TICKER: lambda ticker: ticker["time_ms"] * 1000,
    KeptKind.BAR: lambda bar: bar["close_time_us"],
    KeptKind.SIGNAL: lambda signal: signal["time_ms"] * 1000,
}
