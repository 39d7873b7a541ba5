"""What the name of a Binance dump says: ``XRPETH-aggTrades-2019-10-11.zip``, or a month without its day. Pure."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from market.timeframe import SECOND_MS, Timeframe

_is_dump = re.compile(
    r"(?P<native>[A-Z0-9_]+)-(?P<kind>trades|aggTrades)-(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?"
    r"(?:\.csv)?(?:\.zip)?"
).fullmatch
_is_symbol = re.compile(r"[A-Z0-9]{1,40}-[A-Z0-9]{1,40}(?:-PERP)?").fullmatch
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
PERPETUAL = "-PERP"


class Kind(StrEnum):
    """What a row of a dump stands for."""

    TRADES = "trades"
    AGG_TRADES = "aggTrades"


class Span(NamedTuple):
    """Market time [from, until), microseconds."""

    from_us: int
    until_us: int


class DumpName(NamedTuple):
    """The parts of a dump's name."""

    native: str
    kind: Kind
    span: Span
    """The day, or the month."""


def read_name(name: str) -> DumpName | None:
    """The parts of a file name; None where it is not one of a dump."""
    found = _is_dump(name)
    if found is None:
        return None
    length = Timeframe.MO1 if found["day"] is None else Timeframe.D1
    try:
        opened = datetime(int(found["year"]), int(found["month"]), int(found["day"] or 1), tzinfo=UTC)
    except ValueError:
        return None
    open_ms = int(opened.timestamp()) * SECOND_MS
    return DumpName(found["native"], Kind(found["kind"]), Span(open_ms * 1000, length.end_ms(open_ms) * 1000))


def is_symbol(symbol: str) -> bool:
    """Whether it has the form ``BASE-QUOTE`` or ``BASE-QUOTE-PERP``."""
    return _is_symbol(symbol) is not None


def native_of(symbol: str) -> str:
    """How Binance writes a symbol: ``XRP-ETH`` and ``XRP-ETH-PERP`` are ``XRPETH``."""
    return symbol.removesuffix(PERPETUAL).replace("-", "")


def split_native(native: str) -> str | None:
    """The spot symbol that a native name has, where one of the common quotes ends it; else it must be given."""
    symbols = [f"{native.removesuffix(quote)}-{quote}" for quote in _QUOTES if native.endswith(quote)]
    return symbols[0] if len(symbols) == 1 and is_symbol(symbols[0]) else None
