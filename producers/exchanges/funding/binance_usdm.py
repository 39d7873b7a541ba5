"""Funding rates of Binance's USD-M perpetuals.

Settled, ``/fapi/v1/fundingRate``, the older first; 500 requests in 5 minutes and address are allowed::

    [{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000000,"markPrice":"34287.54619963"}]

Expected, ``/fapi/v1/premiumIndex``, of all contracts; dated ones have no rate::

    [{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970",
      "estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000",
      "nextFundingTime":1597392000000,"time":1597370495002}]

Old rows have an empty ``markPrice``. ``fundingTime`` may be some milliseconds past the hour: here it is the minute, as
in ``nextFundingTime``, so that both are one record.
Source: Binance's USD-M documentation, "Get Funding Rate History" and "Mark Price".
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from market.funding import FundingKind, FundingRate
from market.timeframe import MINUTE_MS
from producers.exchange import RestRequest
from producers.exchanges.funding.rates import make_funding_rate, read_answer


class _SettledRow(Struct):
    symbol: str
    fundingRate: str  # noqa: N815  # the field's name
    fundingTime: int  # noqa: N815  # the field's name
    markPrice: str = ""  # noqa: N815  # the field's name


class _PremiumRow(Struct):
    symbol: str
    lastFundingRate: str = ""  # noqa: N815  # the field's name
    nextFundingTime: int = 0  # noqa: N815  # the field's name
    markPrice: str = ""  # noqa: N815  # the field's name


_settled = msgspec.json.Decoder(list[_SettledRow]).decode
_premiums = msgspec.json.Decoder(list[_PremiumRow]).decode


class BinanceUsdMFunding:
    """Of all perpetuals; `exchange` is its name in record keys."""

    page_rates = 1000

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange

    def funding(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``fundingRate``: both ends are included."""
        span = f"startTime={from_ms}&endTime={until_ms - 1}&limit={self.page_rates}"
        return RestRequest(f"/fapi/v1/fundingRate?symbol={native}&{span}")

    def read_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `funding`."""
        return [
            make_funding_rate(
                self._exchange,
                symbols[row.symbol],
                time_ms=row.fundingTime // MINUTE_MS * MINUTE_MS,
                rate=row.fundingRate,
                kind=FundingKind.SETTLED,
                mark_price=row.markPrice,
            )
            for row in read_answer(_settled, body, "funding rates of Binance USD-M")
            if row.symbol in symbols
        ]

    def expected_funding(self) -> RestRequest:
        """``premiumIndex`` without a symbol: weight 10."""
        return RestRequest("/fapi/v1/premiumIndex", 10)

    def read_expected_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `expected_funding`."""
        return [
            make_funding_rate(
                self._exchange,
                symbols[row.symbol],
                time_ms=row.nextFundingTime,
                rate=row.lastFundingRate,
                kind=FundingKind.EXPECTED,
                mark_price=row.markPrice,
            )
            for row in read_answer(_premiums, body, "mark prices of Binance USD-M")
            if row.symbol in symbols and row.lastFundingRate and row.nextFundingTime
        ]
