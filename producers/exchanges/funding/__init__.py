"""How exchanges tell the funding of their perpetuals: one file each, and one line here, by the exchange's name."""

from producers.exchange import FundingSource
from producers.exchanges.funding.binance_usdm import BinanceUsdMFunding
from producers.exchanges.funding.bybit import BybitFunding
from producers.exchanges.funding.okx import OkxFunding

FUNDING: dict[str, FundingSource] = {
    "binance-usdm": BinanceUsdMFunding("binance"),
    "okx-swap": OkxFunding("okx"),
    "bybit-linear": BybitFunding("bybit"),
}
