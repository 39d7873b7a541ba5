"""Funding rates of Bybit's linear perpetuals.

Settled, ``/v5/market/funding/history``, the newest first; a beginning without an end is an error::

    {"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[
     {"symbol":"BTCUSDT","fundingRate":"0.0001","fundingRateTimestamp":"1709884800000"}]},"time":1709891679050}

Expected, ``/v5/market/tickers``, of all contracts; dated ones have an empty rate::

    {"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[
     {"symbol":"BTCUSDT","lastPrice":"62000","markPrice":"62001.5","fundingRate":"0.0001",
      "nextFundingTime":"1709913600000","fundingIntervalHour":"8"}]},"time":1709891679050}

Source: Bybit's V5 documentation, "Get Funding Rate History" and "Get Tickers".
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from market.errors import MalformedError
from market.funding import FundingKind, FundingRate
from market.timeframe import HOUR_MS
from producers.exchange import RestRequest
from producers.exchanges.funding.rates import make_funding_rate, read_answer
from producers.wire import digits

Row = TypeVar("Row")


class _SettledFunding(Struct):
    symbol: str
    fundingRate: str  # noqa: N815  # the field's name
    fundingRateTimestamp: str  # noqa: N815  # the field's name


class _TickerFunding(Struct):
    symbol: str
    fundingRate: str = ""  # noqa: N815  # the field's name
    nextFundingTime: str = ""  # noqa: N815  # the field's name
    fundingIntervalHour: str = ""  # noqa: N815  # the field's name
    markPrice: str = ""  # noqa: N815  # the field's name


class _FundingList(Struct, Generic[Row]):
    rows: list[Row] = msgspec.field(name="list", default_factory=list)


class _FundingAnswer(Struct, Generic[Row]):
    retCode: int  # noqa: N815  # the field's name
    result: _FundingList[Row]
    retMsg: str = ""  # noqa: N815  # the field's name


_settled = msgspec.json.Decoder(_FundingAnswer[_SettledFunding]).decode
_tickers = msgspec.json.Decoder(_FundingAnswer[_TickerFunding]).decode


class BybitFunding:
    """Of all linear perpetuals; `exchange` is its name in record keys."""

    page_rates = 200

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange

    def funding(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``funding/history``: both ends are included."""
        span = f"startTime={from_ms}&endTime={until_ms - 1}&limit={self.page_rates}"
        return RestRequest(f"/v5/market/funding/history?category=linear&symbol={native}&{span}")

    def read_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `funding`."""
        answer = read_answer(_settled, body, "funding rates of Bybit")
        rates = [
            make_funding_rate(
                self._exchange,
                symbols[row.symbol],
                time_ms=digits(row.fundingRateTimestamp, "fundingRateTimestamp"),
                rate=row.fundingRate,
                kind=FundingKind.SETTLED,
            )
            for row in _rows(answer)
            if row.symbol in symbols
        ]
        return sorted(rates, key=lambda rate: rate.time_ms)

    def expected_funding(self) -> RestRequest:
        """``tickers`` without a symbol."""
        return RestRequest("/v5/market/tickers?category=linear")

    def read_expected_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `expected_funding`; the time after the next is told by the interval."""
        answer = read_answer(_tickers, body, "tickers of Bybit")
        return [
            self._expected(row, symbols[row.symbol])
            for row in _rows(answer)
            if row.symbol in symbols and row.fundingRate and row.nextFundingTime not in ("", "0")
        ]

    def _expected(self, row: _TickerFunding, symbol: str) -> FundingRate:
        time_ms = digits(row.nextFundingTime, "nextFundingTime")
        hours = row.fundingIntervalHour
        return make_funding_rate(
            self._exchange,
            symbol,
            time_ms=time_ms,
            rate=row.fundingRate,
            kind=FundingKind.EXPECTED,
            next_time_ms=time_ms + digits(hours, "fundingIntervalHour") * HOUR_MS if hours else None,
            mark_price=row.markPrice,
        )


def _rows(answer: _FundingAnswer[Row]) -> list[Row]:
    if answer.retCode != 0:
        raise MalformedError(f"Bybit tells no funding rates: {answer.retCode} {answer.retMsg}")
    return answer.result.rows
