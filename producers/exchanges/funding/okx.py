"""Funding rates of OKX's perpetuals (``SWAP``).

Settled, ``/api/v5/public/funding-rate-history``, the newest first, of three months::

    {"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","fundingRate":"0.0001515032",
     "realizedRate":"0.00015","fundingTime":"1704067200000"}]}

``realizedRate`` is what was paid; ``fundingRate`` was expected shortly before.

Expected, ``/api/v5/public/funding-rate?instId=ANY``, of all perpetuals; the stream ``funding-rate`` has the same rows::

    {"code":"0","msg":"","data":[{"instId":"BTC-USDT-SWAP","fundingRate":"0.0001","nextFundingRate":"0.0002",
     "fundingTime":"1744590349506","nextFundingTime":"1744619149506","ts":"1744590349506"}]}

Source: OKX's API guide, "Public data": "Get funding rate history", "Get funding rate".
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from market.errors import MalformedError
from market.funding import FundingKind, FundingRate
from producers.exchange import RestRequest
from producers.exchanges.funding.rates import make_funding_rate, read_answer
from producers.wire import digits


class _HistoryRow(Struct):
    instId: str  # noqa: N815  # the field's name
    realizedRate: str  # noqa: N815  # the field's name
    fundingTime: str  # noqa: N815  # the field's name


class _HistoryAnswer(Struct):
    code: str
    data: list[_HistoryRow]
    msg: str = ""


class _NextRow(Struct):
    instId: str  # noqa: N815  # the field's name
    fundingRate: str  # noqa: N815  # the field's name
    fundingTime: str  # noqa: N815  # the field's name
    nextFundingTime: str = ""  # noqa: N815  # the field's name


class _NextAnswer(Struct):
    code: str
    data: list[_NextRow]
    msg: str = ""


_history = msgspec.json.Decoder(_HistoryAnswer).decode
_next = msgspec.json.Decoder(_NextAnswer).decode


class OkxFunding:
    """Of all perpetuals; `exchange` is its name in record keys."""

    page_rates = 100

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange

    def funding(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``funding-rate-history``: the newest before `until_ms`, so many that they reach back to `from_ms`."""
        del from_ms
        query = f"instId={native}&after={until_ms}&limit={self.page_rates}"
        return RestRequest(f"/api/v5/public/funding-rate-history?{query}")

    def read_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `funding`."""
        answer = read_answer(_history, body, "funding rates of OKX")
        _check(answer)
        rates = [
            make_funding_rate(
                self._exchange,
                symbols[row.instId],
                time_ms=digits(row.fundingTime, "fundingTime"),
                rate=row.realizedRate,
                kind=FundingKind.SETTLED,
            )
            for row in answer.data
            if row.instId in symbols
        ]
        return sorted(rates, key=lambda rate: rate.time_ms)

    def expected_funding(self) -> RestRequest:
        """``funding-rate`` of any perpetual."""
        return RestRequest("/api/v5/public/funding-rate?instId=ANY")

    def read_expected_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """The answer to `expected_funding`."""
        answer = read_answer(_next, body, "the next funding rates of OKX")
        _check(answer)
        return [
            make_funding_rate(
                self._exchange,
                symbols[row.instId],
                time_ms=digits(row.fundingTime, "fundingTime"),
                rate=row.fundingRate,
                kind=FundingKind.EXPECTED,
                next_time_ms=digits(row.nextFundingTime, "nextFundingTime") if row.nextFundingTime else None,
            )
            for row in answer.data
            if row.instId in symbols and row.fundingRate
        ]


def _check(answer: _HistoryAnswer | _NextAnswer) -> None:
    if answer.code != "0":
        raise MalformedError(f"OKX tells no funding rates: {answer.code} {answer.msg}")
