"""Bybit's public archive of derivatives: what the name of a file says, and its rows. Pure.

Names are ``BTCUSDT2026-08-22.csv.gz``, a UTC day each. Columns, by the header; ``RPI`` came later::

    timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI
    1787356800.2296,BTCUSDT,Sell,0.001,78307.50,ZeroMinusTick,48a44029-…,7.83075e+09,0.001,78.3075,0

- ``timestamp`` is in seconds with a fraction. It is floored to milliseconds, as streams and REST give it.
- ``trdMatchID`` is the trade's id, as in streams: a UUID, which proves nothing of what is missing.
- ``side`` is the taker's. ``size`` is in coins for linear perpetuals: ``BTCUSDT`` is ``BTC-USDT-PERP``, ``BTCPERP`` is
  ``BTC-USDC-PERP``. Of inverse contracts it is in dollars: refused, and so are dated contracts.
- ``grossValue`` has exponents, and is not read.
- Bybit's files of *spot* (``BTCUSDT_2025-05-19.csv.gz``: ``id,timestamp,price,volume,side,rpi``) number their rows from
  1 in each file and tell no trade ids: refused.

Sources: the files' own headers as readers of them note them; Bybit's API documentation v5 ("Public Trade").
"""

import re
from collections.abc import Callable
from decimal import Decimal

from market.errors import MalformedError
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.archive.dump import DumpKind, DumpName, is_symbol, read_period
from producers.archive.rows import DECIMAL, places_of, row_matcher

_is_bybit_dump = re.compile(
    r"(?P<native>[A-Z0-9]*[A-Z])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:\.csv)?(?:\.zip|\.gz)?"
).fullmatch
_QUOTES = {"USDT": "USDT", "PERP": "USDC"}
"""How the native name of a linear perpetual ends, and its quote."""
_NEEDED = ("timestamp", "symbol", "side", "size", "price", "trdMatchID")
_PATTERNS = {
    "timestamp": rb"([0-9]{10}(?:\.[0-9]{1,9})?)", "symbol": rb"([A-Z0-9-]{1,64})", "side": rb"(Buy|Sell)",
    "size": DECIMAL, "price": DECIMAL, "trdMatchID": rb"([0-9A-Za-z-]{1,64})",
}  # fmt: skip
_FIRST_S = 1_230_768_000
"""2009: no market is older."""


def read_bybit_name(name: str) -> DumpName | None:
    """The parts of a file's name; None where it is not the name of such a file."""
    parts = _is_bybit_dump(name)
    span = None if parts is None else read_period(parts["year"], parts["month"], parts["day"])
    return None if parts is None or span is None else DumpName(parts["native"], DumpKind.TRADES, span)


def bybit_symbol(native: str) -> str | None:
    """The symbol of a linear perpetual; None: it is of another product."""
    for end, quote in _QUOTES.items():
        symbol = f"{native.removesuffix(end)}-{quote}-PERP"
        if native.endswith(end) and is_symbol(symbol):
            return symbol
    return None


def bybit_native(symbol: str) -> str | None:
    """The native name of a linear perpetual; None: the symbol is of another product."""
    base, _, rest = symbol.partition("-")
    return next((base + end for end, quote in _QUOTES.items() if rest == f"{quote}-PERP"), None)


def bybit_columns(header: bytes) -> tuple[str, ...]:
    """The columns that a header names. `MalformedError`: it is no header of Bybit's derivatives."""
    columns = tuple(header.decode(errors="replace").split(","))
    if any(columns.count(name) != 1 for name in _NEEDED):
        raise MalformedError(
            f"the header {header[:200]!r} does not name {', '.join(_NEEDED)} once each (Bybit's files of spot do not "
            "tell the ids of trades, and cannot be imported)"
        )
    return columns


def bybit_row_parser(exchange: str, symbol: str, columns: tuple[str, ...]) -> Callable[[bytes], Trade]:
    """A function that reads a row with these columns, and raises `MalformedError`."""
    match = row_matcher(columns, _PATTERNS)
    time_place, symbol_place, side_place, size_place, price_place, id_place = places_of(columns, _NEEDED)
    native = bybit_native(symbol)

    def parse(line: bytes) -> Trade:
        cells = match(line)
        if cells[symbol_place].decode() != native:
            raise MalformedError(f"a row of {cells[symbol_place].decode()} in a file of {native}")
        trade = Trade(
            exchange=exchange,
            symbol=symbol,
            trade_id=cells[id_place].decode(),
            price=Decimal(cells[price_place].decode()),
            qty=Decimal(cells[size_place].decode()),
            side=Side.BUY if cells[side_place] == b"Buy" else Side.SELL,
            time_us=_time_us(cells[time_place]),
            source=Source.ARCHIVE,
        )
        check_trade(trade)
        return trade

    return parse


def _time_us(cell: bytes) -> int:
    seconds, _, fraction = cell.partition(b".")
    if int(seconds) < _FIRST_S:
        raise MalformedError(f"timestamp {cell.decode()} is before 2009")
    return (int(seconds) * 1000 + int(fraction[:3].ljust(3, b"0"))) * 1000
