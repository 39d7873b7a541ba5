"""The exchanges that the simulator speaks for: what their records are called, and what they can prove. Pure."""

from typing import NamedTuple

COMPLETE, CONNECTED = "complete", "connected"
_PRICES = ("open", "high", "low", "close")
_VOLUMES = (*_PRICES, "volume", "quote_volume")
_ALL = (*_VOLUMES, "trades", "taker_buy_volume", "taker_buy_quote_volume")


class SpokenExchange(NamedTuple):
    """An exchange, by what is to be expected of its records."""

    key: str
    """How their keys begin."""
    suffix: str = ""
    """What their symbols end with."""
    best: str = COMPLETE
    """What a minute says of which nothing is missing. `CONNECTED`: ids are texts, which prove nothing."""
    kline_fields: tuple[str, ...] = _ALL
    """What its klines give."""
    klines_of: str | None = None
    """The exchange whose trades its klines count; None: its own."""


SPOKEN = {
    "binance": SpokenExchange("binance"),
    "binance-usdm": SpokenExchange("binance", "-PERP", klines_of="binance"),
    "bybit": SpokenExchange("bybit", best=CONNECTED, kline_fields=_VOLUMES),
    "bybit-linear": SpokenExchange("bybit", "-PERP", best=CONNECTED, kline_fields=_VOLUMES),
    "coinbase": SpokenExchange("coinbase", kline_fields=(*_PRICES, "volume")),
    "kraken": SpokenExchange("kraken", kline_fields=(*_PRICES, "volume", "trades")),
    "okx": SpokenExchange("okx", kline_fields=_VOLUMES),
    "okx-swap": SpokenExchange("okx", "-PERP", kline_fields=_VOLUMES),
}
"""By the names that commands and the simulator's record have for them."""


class SpokenMarket(NamedTuple):
    """A market of the simulator as one of its exchanges has it; `symbol` is the simulator's own, such as BTCUSDT."""

    exchange: str
    symbol: str

    @property
    def spoken(self) -> SpokenExchange:
        """Its exchange."""
        return SPOKEN[self.exchange]
