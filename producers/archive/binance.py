"""Rows of Binance's public dumps. Pure: bytes of a line in, a trade out.

Source of the columns: the README of Binance's public data. Spot files have no header, newer ones of futures have one.
Spot `trades` and USD-M `aggTrades` both have seven columns, USD-M and COIN-M `trades` both six: which they are has to
be known before. The quantity of COIN-M is in contracts, and `base_qty` beside it in coins; its `aggTrades` have none.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from market.errors import MalformedError
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.archive.dump import DumpKind, Product

_HEADERS = {
    b"id": DumpKind.TRADES, b"trade_id": DumpKind.TRADES, b"tradeId": DumpKind.TRADES,
    b"agg_trade_id": DumpKind.AGG_TRADES, b"aggTradeId": DumpKind.AGG_TRADES, b"aggTrade_id": DumpKind.AGG_TRADES,
}  # fmt: skip

_ID = rb"(0|[1-9][0-9]{0,17})"
_DECIMAL = rb"([0-9]{1,40}(?:\.[0-9]{1,40})?)"
_FIRST_MS = 1_230_768_000_000
"""2009: no market is older. A time in seconds is refused by it instead of being taken for one of 1970."""
_FIRST_US = 10**14
"""Times at or above are microseconds (spot dumps from 2025 on): in milliseconds they would lie in the year 5138."""
_TIME = rb"([0-9]{13}|[0-9]{16})"
_BOOL = rb"([Tt]rue|TRUE|[Ff]alse|FALSE)"
_ANY = rb"([^,]*)"

_COLUMNS = {"id": _ID, "price": _DECIMAL, "qty": _DECIMAL, "baseQty": _DECIMAL, "time": _TIME, "isBuyerMaker": _BOOL}
"""Those that are read; the others are passed over."""
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
"""Names in headers, in small letters and without what parts their words."""


def kind_of_header(line: bytes) -> DumpKind | None:
    """What the header of a dump says its rows are; None where the line is no header."""
    return _HEADERS.get(line.split(b",")[0].strip())


def columns_of(kind: DumpKind, product: Product, header: bytes | None = None) -> tuple[str, ...]:
    """The columns of such a dump: those that its header names, else the usual ones.

    Raises `MalformedError` where they do not tell how many coins were traded, or the header is of another product.
    """
    usual = _LAYOUTS.get((kind, product))
    if usual is None:
        raise MalformedError(f"{kind} of {product} tell contracts and not coins: import its {DumpKind.TRADES}")
    if header is None:
        return usual
    cells = header.decode(errors="replace").split(",")
    columns = tuple(_HEADED.get(re.sub(r"[^a-z]", "", cell.lower()), cell.strip()) for cell in cells)
    needed = [name for name in usual if name in _COLUMNS]
    lacks = [name for name in needed if columns.count(name) != 1]
    if lacks or len(columns) != len(usual) or ("baseQty" in columns and product is not Product.COIN_M):
        what = f"of {kind} of {product} ({', '.join(usual)})"
        raise MalformedError(f"the header {','.join(cells)[:200]!r} is not that {what}")
    return tuple("contracts" if name == "qty" and product is Product.COIN_M else name for name in columns)


def row_parser(exchange: str, symbol: str, columns: tuple[str, ...]) -> Callable[[bytes], Trade]:
    """The function that reads a row of such columns; it raises `MalformedError`.

    Times are floored to milliseconds: streams, REST and the older dumps give no more, and all sources of an exchange
    give the same time for an id.
    """
    match = re.compile(b",".join(_COLUMNS.get(name, _ANY) for name in columns)).fullmatch
    qty = "baseQty" if "baseQty" in columns else "qty"
    id_at, price_at, qty_at, time_at, maker_at = (
        columns.index(name) + 1 for name in ("id", "price", qty, "time", "isBuyerMaker")
    )

    def parse(line: bytes) -> Trade:
        found = match(line)
        if found is None:
            raise MalformedError(_reason(line, columns))
        time_ms = int(found[time_at])
        if time_ms >= _FIRST_US:
            time_ms //= 1000
        if time_ms < _FIRST_MS:
            raise MalformedError(f"time {time_ms} ms is before 2009")
        trade = Trade(
            exchange=exchange,
            symbol=symbol,
            trade_id=found[id_at].decode(),
            price=Decimal(found[price_at].decode()),
            qty=Decimal(found[qty_at].decode()),
            # The maker bought, so the taker sold.
            side=Side.SELL if found[maker_at] in {b"True", b"true", b"TRUE"} else Side.BUY,
            time_us=time_ms * 1000,
            source=Source.ARCHIVE,
        )
        check_trade(trade)
        return trade

    return parse


def _reason(line: bytes, columns: tuple[str, ...]) -> str:
    cells = line.split(b",")
    if len(cells) != len(columns):
        return f"{len(cells)} columns where such a file has {len(columns)} ({', '.join(columns)})"
    name, cell = next(
        (name, cell)
        for name, cell in zip(columns, cells, strict=True)
        if not re.fullmatch(_COLUMNS.get(name, _ANY), cell)
    )
    return f"{name} is {cell[:60].decode(errors='backslashreplace')!r}"
