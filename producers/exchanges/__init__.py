"""What differs from exchange to exchange: one file each, and one line here."""

from collections.abc import Callable

from producers.exchange import Exchange
from producers.exchanges.binance import Binance
from producers.exchanges.binance_usdm import BinanceUsdM
from producers.exchanges.bitstamp import Bitstamp
from producers.exchanges.bybit import Bybit, bybit_perpetuals
from producers.exchanges.ccxt import PREFIX, Ccxt
from producers.exchanges.coinbase import Coinbase
from producers.exchanges.kraken import Kraken
from producers.exchanges.okx import Okx, okx_swaps
from runtime.errors import UsageError
from runtime.settings import Settings

EXCHANGES: dict[str, Callable[[Settings], Exchange]] = {
    "binance": Binance,
    "binance-usdm": BinanceUsdM,
    "bitstamp": Bitstamp,
    "bybit": Bybit,
    "bybit-linear": bybit_perpetuals,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": Okx,
    "okx-swap": okx_swaps,
}


def exchange_named(name: str, settings: Settings) -> Exchange:
    """The exchange of the table, or of ccxt: ``ccxt:kucoin``. `UsageError`: there is none of this name."""
    if name.startswith(PREFIX):
        if settings.ccxt_ws is None or settings.ccxt_rest is None:
            raise UsageError(f"{name} can be fed (candlewick produce), and nothing else: ccxt has no history")
        return Ccxt(name.removeprefix(PREFIX), settings.ccxt_ws, settings.ccxt_rest)
    if name not in EXCHANGES:
        raise UsageError(f"there is no exchange {name!r}: choose {' or '.join(sorted(EXCHANGES))}, or ccxt:NAME")
    return EXCHANGES[name](settings)
