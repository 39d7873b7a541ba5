"""What the name of a Binance dump says: ``XRPETH-aggTrades-2019-10-11.zip``, or a month without its day. Pure.

| market | native name | symbol |
|---|---|---|
| spot | ``XRPETH`` | ``XRP-ETH`` |
| USD-M, perpetual | ``BTCUSDT``, as on spot: the symbol has to be given | ``BTC-USDT-PERP`` |
| USD-M, dated | ``BTCUSDT_240628`` | ``BTC-USDT-240628`` |
| COIN-M, perpetual | ``BTCUSD_PERP`` | ``BTC-USD-PERP`` |
| COIN-M, dated | ``BTCUSD_240628`` | ``BTC-USD-240628`` |
"""

import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from market.fields import MAX_NAME
from market.timeframe import SECOND_MS, Timeframe

_is_dump = re.compile(
    r"(?P<native>[^-]+)-(?P<kind>trades|aggTrades)-(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?"
    r"(?:\.csv)?(?:\.zip|\.gz)?"
).fullmatch
_is_contract = re.compile(r"PERP|[0-9]{6}").fullmatch
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
_COIN_MARGINED_QUOTE = "USD"
_PERPETUAL = "PERP"
_SPELLED = frozenset({"Lu", "Lo", "Lm", "Mn", "Mc", "Nd"})
"""Unicode categories: letters that are not small, marks on letters, digits."""


class DumpKind(StrEnum):
    """What a row of a dump is: one trade, or an aggregate of trades."""

    TRADES = "trades"
    AGG_TRADES = "aggTrades"


class Product(StrEnum):
    """What is traded: coins, or futures with their margin in US dollars or in coins."""

    SPOT = "spot"
    USD_M = "USD-M"
    COIN_M = "COIN-M"


class DumpPeriod(NamedTuple):
    """Market time [from, until), microseconds."""

    from_us: int
    until_us: int


class DumpName(NamedTuple):
    """The parts of a dump's name."""

    native: str
    kind: DumpKind
    span: DumpPeriod
    """The day, or the month."""


def read_name(name: str) -> DumpName | None:
    """The parts of a file's name, in composed letters (NFC); None where it is not the name of a dump."""
    parts = _is_dump(unicodedata.normalize("NFC", name))
    if parts is None or not all(map(_is_spelled, parts["native"].split("_"))):
        return None
    span = read_period(parts["year"], parts["month"], parts["day"])
    return None if span is None else DumpName(parts["native"], DumpKind(parts["kind"]), span)


def read_period(year: str, month: str, day: str | None) -> DumpPeriod | None:
    """A UTC day, or a month where no day is given; None: there is no such day."""
    length = Timeframe.MO1 if day is None else Timeframe.D1
    try:
        opened = datetime(int(year), int(month), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    open_ms = int(opened.timestamp()) * SECOND_MS
    return DumpPeriod(open_ms * 1000, length.end_ms(open_ms) * 1000)


def is_symbol(symbol: str) -> bool:
    """Whether it has the form ``BASE-QUOTE``, ``BASE-QUOTE-PERP`` or ``BASE-QUOTE-YYMMDD``, in letters of any script.

    Letters are capital, where the script has capitals, and composed (NFC): so a symbol has only one spelling.
    """
    base, _, rest = symbol.partition("-")
    quote, dash, contract = rest.partition("-")
    return (
        _is_spelled(base)
        and _is_spelled(quote)
        and (not dash or _is_contract(contract) is not None)
        and len(symbol.encode()) <= MAX_NAME
    )


def product_of(symbol: str) -> Product:
    """The product of a symbol; Binance's futures against ``USD`` are those with their margin in coins."""
    _, quote, *contract = symbol.split("-")
    if not contract:
        return Product.SPOT
    return Product.COIN_M if quote == _COIN_MARGINED_QUOTE else Product.USD_M


def is_native(native: str, symbol: str) -> bool:
    """Whether `native` is how Binance writes the symbol; ``_PERP`` may be missing."""
    base, quote, *contract = symbol.split("-")
    pair, _, suffix = native.partition("_")
    if contract == [_PERPETUAL]:
        allowed = {"", _PERPETUAL} if product_of(symbol) is Product.COIN_M else {""}
    else:
        allowed = {"".join(contract)}
    return pair == base + quote and suffix in allowed


def split_native(native: str) -> str | None:
    """The symbol of a native name that ends with exactly one of the common quotes; without a suffix it is spot.

    None where that is not so: ``BNBUSD_240628`` may be BNB against USD, or BN against BUSD.
    """
    pair, _, contract = native.partition("_")
    if contract == _PERPETUAL:
        quotes: tuple[str, ...] = (_COIN_MARGINED_QUOTE,)
    else:
        quotes = (*_QUOTES, _COIN_MARGINED_QUOTE) if contract else _QUOTES
    suffix = f"-{contract}" if contract else ""
    symbols = [f"{pair.removesuffix(quote)}-{quote}{suffix}" for quote in quotes if pair.endswith(quote)]
    return symbols[0] if len(symbols) == 1 and is_symbol(symbols[0]) else None


def _is_spelled(text: str) -> bool:
    return (
        text != ""
        and unicodedata.is_normalized("NFC", text)
        and all(unicodedata.category(character) in _SPELLED for character in text)
    )
