"""What differs from exchange to exchange: one file each, and one line here."""

from collections.abc import Callable

from producers.exchange import Exchange
from producers.exchanges.binance import Binance
from producers.exchanges.binance_usdm import BinanceUsdM
from producers.exchanges.bybit import Bybit, bybit_perpetuals
from producers.exchanges.coinbase import Coinbase
from producers.exchanges.kraken import Kraken
from producers.exchanges.okx import Okx
from runtime.settings import Settings

EXCHANGES: dict[str, Callable[[Settings], Exchange]] = {
    "binance": Binance,
    "binance-usdm": BinanceUsdM,
    "bybit": Bybit,
    "bybit-linear": bybit_perpetuals,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": Okx,
}
