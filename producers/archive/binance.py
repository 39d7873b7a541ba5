"""Rows of Binance's public dumps. Pure: bytes of a line in, a trade out.

Source of the columns: the README of Binance's public data. Spot files have no header, newer USD-M files one. Spot
`trades` and USD-M `aggTrades` both have seven columns: which they are has to be known before.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from market.errors import MalformedError
from market.trade import Side, Source, Trade
from producers.archive.dump import Kind

_HEADERS = {
    b"id": Kind.TRADES, b"trade_id": Kind.TRADES, b"tradeId": Kind.TRADES,
    b"agg_trade_id": Kind.AGG_TRADES, b"aggTradeId": Kind.AGG_TRADES, b"aggTrade_id": Kind.AGG_TRADES,
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

_COLUMNS = {
    "id": _ID, "price": _DECIMAL, "qty": _DECIMAL, "time": _TIME, "isBuyerMaker": _BOOL,
    "quoteQty": _ANY, "firstTradeId": _ANY, "lastTradeId": _ANY, "isBestMatch": _ANY,
}  # fmt: skip
_TRADES = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker")
_AGG_TRADES = ("id", "price", "qty", "firstTradeId", "lastTradeId", "time", "isBuyerMaker")
_LAYOUTS = {
    (Kind.TRADES, False): (*_TRADES, "isBestMatch"),
    (Kind.TRADES, True): _TRADES,
    (Kind.AGG_TRADES, False): (*_AGG_TRADES, "isBestMatch"),
    (Kind.AGG_TRADES, True): _AGG_TRADES,
}
_MARKET = {False: "spot", True: "USD-M"}


def kind_of_header(line: bytes) -> Kind | None:
    """What the header of a dump says its rows are; None where the line is no header."""
    return _HEADERS.get(line.split(b",")[0].strip())


def row_parser(exchange: str, symbol: str, kind: Kind, *, perpetual: bool) -> Callable[[bytes], Trade]:
    """The function that reads a row of such a dump; it raises `MalformedError`.

    Times are floored to milliseconds: streams, REST and the older dumps give no more, and all sources of an exchange
    give the same time for an id.
    """
    names = _LAYOUTS[kind, perpetual]
    match = re.compile(b",".join(_COLUMNS[name] for name in names)).fullmatch
    time_at, maker_at = names.index("time") + 1, names.index("isBuyerMaker") + 1

    def parse(line: bytes) -> Trade:
        found = match(line)
        if found is None:
            raise MalformedError(_reason(line, names, kind, perpetual=perpetual))
        time_ms = int(found[time_at])
        if time_ms >= _FIRST_US:
            time_ms //= 1000
        if time_ms < _FIRST_MS:
            raise MalformedError(f"time {time_ms} ms is before 2009")
        return Trade(
            exchange=exchange,
            symbol=symbol,
            trade_id=found[1].decode(),
            price=Decimal(found[2].decode()),
            qty=Decimal(found[3].decode()),
            # The maker bought, so the taker sold.
            side=Side.SELL if found[maker_at] in {b"True", b"true", b"TRUE"} else Side.BUY,
            time_us=time_ms * 1000,
            source=Source.ARCHIVE,
        )

    return parse


def _reason(line: bytes, names: tuple[str, ...], kind: Kind, *, perpetual: bool) -> str:
    cells = line.split(b",")
    if len(cells) != len(names):
        return f"{len(cells)} columns where {kind} of {_MARKET[perpetual]} have {len(names)} ({', '.join(names)})"
    wrong = next(
        (name, cell) for name, cell in zip(names, cells, strict=True) if not re.fullmatch(_COLUMNS[name], cell)
    )
    return f"{wrong[0]} is {wrong[1][:60].decode(errors='backslashreplace')!r}"
