"""One exchange of ccxt. The one module that knows ccxt, which is an extra: ``pip install 'candlewick[ccxt]'``.

ccxt makes floats of amounts, unless it is told another class: with ``str`` they stay the texts that the exchange sent.
Where an exchange sends JSON numbers, ccxt has read a float before that, and the text is the shortest one of the float.

Source: ccxt's manual, "Working With Numbers" (``number``), "watchTrades", "fetchTrades", "fetchOHLCV", "fetchTime".
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from runtime.errors import UsageError

KEPT_TRADES = 1_000
"""So many trades ccxt keeps for the next call; if more come between two calls, it forgets the older without a word."""
ROWS = 100
"""The newest trades that are asked for at once: few exchanges give more, and few give fewer."""


class CcxtExchange(Protocol):
    """What we use of an exchange of ``ccxt.pro``."""

    has: Mapping[str, object]
    options: dict[str, Any]
    streaming: dict[str, Any]
    clients: Mapping[str, Any] | None
    """Its sockets, by address."""
    handle_message: Callable[[Any, Any], None]
    on_connected: Callable[..., None]
    on_close: Callable[[Any, Any], None]
    on_error: Callable[[Any, Any], None]

    async def load_markets(self) -> Mapping[str, Any]:
        """The markets, by their unified symbols."""

    async def watch_trades(self, symbol: str) -> Sequence[Mapping[str, Any]]:
        """The trades since the last call; waits for the next ones."""

    async def fetch_trades(self, symbol: str, since: int | None = None, limit: int | None = None) -> Sequence[Any]:
        """The newest trades, the older first."""

    async def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int | None = None, limit: int | None = None
    ) -> Sequence[Sequence[Any]]:
        """Candles: open time in milliseconds, open, high, low, close, volume."""

    async def fetch_time(self) -> int | None:
        """The exchange's time in milliseconds."""

    async def close(self) -> None:
        """Close all sockets."""


class CcxtVenue(NamedTuple):
    """An exchange of ccxt."""

    make: Callable[[], CcxtExchange]
    """Makes an instance, with sockets of its own."""
    error: type[Exception]
    """What its calls raise."""


def ccxt_venue(name: str) -> CcxtVenue:
    """The exchange that ccxt calls so. `UsageError`: ccxt is not installed, or can't stream its trades."""
    try:
        pro: ModuleType = importlib.import_module("ccxt.pro")
    except ModuleNotFoundError as error:
        raise UsageError("ccxt is not installed: pip install 'candlewick[ccxt]'") from error
    if name not in pro.exchanges:
        raise UsageError(f"ccxt has no exchange {name!r} with WebSockets: {', '.join(pro.exchanges)}")

    def make() -> CcxtExchange:
        options = {"tradesLimit": KEPT_TRADES}
        exchange: CcxtExchange = getattr(pro, name)({"enableRateLimit": True, "number": str, "options": options})
        return exchange

    if not make().has.get("watchTrades"):
        raise UsageError(f"ccxt does not stream the trades of {name}")
    return CcxtVenue(make, pro.BaseError)


def trade_row(trade: Mapping[str, Any]) -> list[object]:
    """A trade of ccxt as a row of the bridge: symbol, id, price, amount, side, time in milliseconds."""
    return [trade.get(name) for name in ("symbol", "id", "price", "amount", "side", "timestamp")]


def market_row(market: Mapping[str, Any]) -> dict[str, object]:
    """A market of ccxt as the bridge tells it."""
    return {name: market.get(name) for name in ("symbol", "base", "quote", "active")}
