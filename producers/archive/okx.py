"""OKX's public archive of trades: what the name of a file says, and its rows. Pure.

Names are ``BTC-USDT-trades-2025-09-01.zip`` (each fill, with the ids of ``trades-all``) and ``…-aggtrades-…`` (fills
joined, whose ids jump). Columns, by the header, which older files have in English and Chinese in the encoding GBK::

    trade_id/…,side/…,size/…,price/…,created_time/…
    instrument_name,trade_id,side,price,size,created_time,source

- A day is one of UTC+8: that of 2025-09-01 begins on 2025-08-31 at 16:00 UTC. So OKX's documentation has it ("Get
  historical market data": ``dateTs``), and so files begin and end.
- ``created_time`` is in milliseconds, ``side`` the taker's, ``source`` 1 an order of the enhanced liquidity program.
- Sizes of spot are in coins. Those of swaps (``BTC-USDT-SWAP-trades-…``) are numbers of contracts. How much one is, no
  file tells: the caller has to. Inverse swaps, futures and options are refused.
- Some sizes went through a binary fraction (``0.00044782999999999997``, ``1e-05``). Sixteen digits and more are rounded
  to the fifteen that such a fraction holds, so that size is the same as in streams and REST.

Sources: OKX's documentation; readers of these files, such as `Vaquum/Origo` (numbers) and what people noted of columns.
"""

import re
from collections.abc import Callable
from decimal import Context, Decimal

from market.decimals import EXACT
from market.errors import MalformedError
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.archive.dump import DumpKind, DumpName, DumpPeriod, Product, is_symbol, product_of, read_period
from producers.archive.rows import places_of, row_matcher

_is_okx_dump = re.compile(
    r"(?P<native>[A-Z0-9]+(?:-[A-Z0-9]+)+)-(?P<kind>trades|aggtrades)-"
    r"(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?(?:\.csv)?(?:\.zip|\.gz)?"
).fullmatch
_KINDS = {"trades": DumpKind.TRADES, "aggtrades": DumpKind.AGG_TRADES}
_AHEAD_US = 8 * 3_600_000_000
"""UTC+8."""
_SWAP, _PERPETUAL, _INVERSE = "-SWAP", "-PERP", "-USD"
_COIN = Decimal(1)
_NEEDED = ("trade_id", "side", "price", "size", "created_time")
_NUMBER = rb"([0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?)"
_PATTERNS = {
    "trade_id": rb"(0|[1-9][0-9]{0,17})", "side": rb"(buy|sell)", "price": _NUMBER, "size": _NUMBER,
    "created_time": rb"([0-9]{13})", "instrument_name": rb"([A-Z0-9-]{1,64})",
}  # fmt: skip
_FRACTION_DIGITS = 15
"""As many decimal digits a binary fraction of 64 bits holds for sure."""
_FRACTION = Context(prec=_FRACTION_DIGITS)


def read_okx_name(name: str) -> DumpName | None:
    """The parts of a file's name; None where it is not the name of such a file."""
    parts = _is_okx_dump(name)
    span = None if parts is None else read_period(parts["year"], parts["month"], parts["day"])
    if parts is None or span is None:
        return None
    day = DumpPeriod(span.from_us - _AHEAD_US, span.until_us - _AHEAD_US)
    return DumpName(parts["native"], _KINDS[parts["kind"]], day)


def okx_symbol(native: str) -> str | None:
    """The symbol of a pair of spot, or of a swap with a linear payout; None: it is of another product."""
    pair = native.removesuffix(_SWAP)
    if not is_symbol(pair) or product_of(pair) is not Product.SPOT or (pair != native and pair.endswith(_INVERSE)):
        return None
    return pair if pair == native else f"{pair}{_PERPETUAL}"


def okx_native(symbol: str) -> str:
    """The name of an instrument in OKX's files."""
    return symbol.removesuffix(_PERPETUAL) + _SWAP if symbol.endswith(_PERPETUAL) else symbol


def okx_columns(header: bytes) -> tuple[str, ...]:
    """The columns that a header names. `MalformedError`: it is no header of OKX."""
    columns = tuple(cell.split(b"/")[0].strip().decode(errors="replace") for cell in header.split(b","))
    if any(columns.count(name) != 1 for name in _NEEDED):
        raise MalformedError(f"the header {header[:200]!r} does not name {', '.join(_NEEDED)} once each")
    return columns


def okx_row_parser(
    exchange: str, symbol: str, columns: tuple[str, ...], *, contract: Decimal = _COIN
) -> Callable[[bytes], Trade]:
    """A function that reads a row with these columns, and raises `MalformedError`.

    `contract`: what a size of 1 is, in coins.
    """
    native = okx_native(symbol)
    match = row_matcher(columns, _PATTERNS)
    id_place, side_place, price_place, size_place, time_place = places_of(columns, _NEEDED)
    name_place = columns.index("instrument_name") + 1 if "instrument_name" in columns else None

    def parse(line: bytes) -> Trade:
        cells = match(line)
        if name_place is not None and cells[name_place].decode() != native:
            raise MalformedError(f"a row of {cells[name_place].decode()} in a file of {native}")
        trade = Trade(
            exchange=exchange,
            symbol=symbol,
            trade_id=cells[id_place].decode(),
            price=_read_number(cells[price_place]),
            qty=EXACT.multiply(_read_number(cells[size_place]), contract),
            side=Side(cells[side_place].decode()),
            time_us=int(cells[time_place]) * 1000,
            source=Source.ARCHIVE,
        )
        check_trade(trade)
        return trade

    return parse


def _read_number(cell: bytes) -> Decimal:
    value = Decimal(cell.decode())
    return value if len(value.as_tuple().digits) <= _FRACTION_DIGITS else _FRACTION.plus(value)
