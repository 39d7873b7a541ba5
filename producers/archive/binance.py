"""Rows of Binance's public dumps. Pure: bytes of a line in, a trade out.

Source of the columns: README of the repository binance/binance-public-data, sections "Trades" and "aggTrades". Spot
files have no header, newer files of futures have one. Kinds of different products may have the same number of
columns: spot `trades` and USD-M `aggTrades` have seven, USD-M and COIN-M `trades` have six. COIN-M gives quantities in
contracts; its `trades` also give them in coins (`base_qty`), its `aggTrades` do not.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from market.errors import MalformedError
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.archive.dump import DumpKind, Product
from producers.archive.rows import DECIMAL, places_of, row_matcher

_HEADERS = {
    b"id": DumpKind.TRADES, b"trade_id": DumpKind.TRADES, b"tradeId": DumpKind.TRADES,
    b"agg_trade_id": DumpKind.AGG_TRADES, b"aggTradeId": DumpKind.AGG_TRADES, b"aggTrade_id": DumpKind.AGG_TRADES,
}  # fmt: skip

_ID = rb"(0|[1-9][0-9]{0,17})"
_FIRST_MS = 1_230_768_000_000
"""2009: no market is older. So a time in seconds is refused, and not taken for a time in 1970."""
_FIRST_US = 10**14
"""From here on a time is in microseconds (spot dumps from 2025 on): in milliseconds it would be the year 5138."""
_TIME = rb"([0-9]{13}|[0-9]{16})"
_BOOL = rb"([Tt]rue|TRUE|[Ff]alse|FALSE)"

_COLUMNS = {"id": _ID, "price": DECIMAL, "qty": DECIMAL, "baseQty": DECIMAL, "time": _TIME, "isBuyerMaker": _BOOL}
"""The columns that are read; others are passed over."""
_TRADES = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker")
_AGG_TRADES = ("id", "price", "qty", "firstTradeId", "lastTradeId", "time", "isBuyerMaker")
_LAYOUTS = {
    (DumpKind.TRADES, Product.SPOT): (*_TRADES, "isBestMatch"),
    (DumpKind.TRADES, Product.USD_M): _TRADES,
    (DumpKind.TRADES, Product.COIN_M): ("id", "price", "contracts", "baseQty", "time", "isBuyerMaker"),
    (DumpKind.AGG_TRADES, Product.SPOT): (*_AGG_TRADES, "isBestMatch"),
    (DumpKind.AGG_TRADES, Product.USD_M): _AGG_TRADES,
}
_HEADED = {
    "id": "id", "tradeid": "id", "aggtradeid": "id", "price": "price", "qty": "qty", "quantity": "qty",
    "baseqty": "baseQty", "basequantity": "baseQty", "quoteqty": "quoteQty", "quotequantity": "quoteQty",
    "time": "time", "timestamp": "time", "transacttime": "time",
    "isbuyermaker": "isBuyerMaker", "wasbuyermaker": "isBuyerMaker", "wasthebuyerthemaker": "isBuyerMaker",
}  # fmt: skip
"""Names in headers, in small letters and without separators between words."""


def kind_of_header(line: bytes) -> DumpKind | None:
    """The kind of dump that a header shows; None if the line is no header."""
    return _HEADERS.get(line.split(b",")[0].strip())


def kind_of_row(line: bytes, product: Product) -> DumpKind | None:
    """The kind of dump by the number of columns: only `aggTrades` of spot have eight; else None."""
    is_aggregate = product is Product.SPOT and line.count(b",") + 1 == len(columns_of(DumpKind.AGG_TRADES, product))
    return DumpKind.AGG_TRADES if is_aggregate else None


def columns_of(kind: DumpKind, product: Product, header: bytes | None = None) -> tuple[str, ...]:
    """The columns of a dump: those that its header names, else the usual ones.

    Raises `MalformedError` if no column says how many coins were traded, or if the header is of another product.
    """
    usual = _LAYOUTS.get((kind, product))
    if usual is None:
        raise MalformedError(f"{kind} of {product} tell contracts and not coins: import its {DumpKind.TRADES} instead")
    if header is None:
        return usual
    cells = header.decode(errors="replace").split(",")
    columns = tuple(_HEADED.get(re.sub(r"[^a-z]", "", cell.lower()), cell.strip()) for cell in cells)
    needed = [name for name in usual if name in _COLUMNS]
    lacking = [name for name in needed if columns.count(name) != 1]
    if lacking or len(columns) != len(usual) or ("baseQty" in columns and product is not Product.COIN_M):
        raise MalformedError(
            f"the header {','.join(cells)[:200]!r} is not that of {kind} of {product} ({', '.join(usual)})"
        )
    return tuple("contracts" if name == "qty" and product is Product.COIN_M else name for name in columns)


def row_parser(exchange: str, symbol: str, columns: tuple[str, ...]) -> Callable[[bytes], Trade]:
    """A function that reads a row with these columns, and raises `MalformedError`.

    Times are floored to milliseconds, as streams, REST and older dumps give them: so all sources of an exchange give
    the same time for an id.
    """
    match = row_matcher(columns, _COLUMNS)
    qty = "baseQty" if "baseQty" in columns else "qty"
    id_group, price_group, qty_group, time_group, maker_group = places_of(
        columns, ("id", "price", qty, "time", "isBuyerMaker")
    )

    def parse(line: bytes) -> Trade:
        cells = match(line)
        time_ms = int(cells[time_group])
        if time_ms >= _FIRST_US:
            time_ms //= 1000
        if time_ms < _FIRST_MS:
            raise MalformedError(f"time {time_ms} ms is before 2009")
        trade = Trade(
            exchange=exchange,
            symbol=symbol,
            trade_id=cells[id_group].decode(),
            price=Decimal(cells[price_group].decode()),
            qty=Decimal(cells[qty_group].decode()),
            # The buyer was the maker, so the taker sold.
            side=Side.SELL if cells[maker_group] in {b"True", b"true", b"TRUE"} else Side.BUY,
            time_us=time_ms * 1000,
            source=Source.ARCHIVE,
        )
        check_trade(trade)
        return trade

    return parse
