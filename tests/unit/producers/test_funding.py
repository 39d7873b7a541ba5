"""Funding rates of three exchanges, out of recorded answers and the examples of their documentation."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market.errors import MalformedError
from market.funding import FundingKind, FundingRate
from market.timeframe import HOUR_MS
from producers.exchange import FundingSource, RestRequest
from producers.exchanges.funding import FUNDING

DATA = Path(__file__).parents[2] / "data"
SYMBOLS = {"BTCUSDT": "BTC-USDT-PERP", "BTC-USDT-SWAP": "BTC-USDT-PERP"}
BINANCE, OKX, BYBIT = FUNDING["binance-usdm"], FUNDING["okx-swap"], FUNDING["bybit-linear"]


def rate(exchange: str, time_ms: int, told: str, **fields: Any) -> FundingRate:
    return FundingRate(exchange=exchange, symbol="BTC-USDT-PERP", time_ms=time_ms, rate=Decimal(told), **fields)


def recorded(name: str) -> bytes:
    return (DATA / name).read_bytes()


PREMIUM = {
    "symbol": "BTCUSDT", "markPrice": "11793.63104562", "indexPrice": "11781.80495970",
    "estimatedSettlePrice": "11781.16138815", "lastFundingRate": "0.00038246", "interestRate": "0.00010000",
    "nextFundingTime": 1597392000000, "time": 1597370495002,
}  # fmt: skip
"""Binance's documentation, "Mark Price"."""
TICKER = {
    "symbol": "BTCUSDT", "lastPrice": "62000", "markPrice": "62001.5", "fundingRate": "0.0001",
    "nextFundingTime": "1709913600000", "fundingIntervalHour": "8",
}  # fmt: skip
"""Fields of Bybit's documentation, "Get Tickers"."""


def tickers(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}}).encode()


@pytest.mark.parametrize(
    ("source", "answer", "rates"),
    [
        (
            BINANCE,
            "binance_usdm_rest_funding_rates.json",
            [
                rate("binance", 1570608000000, "-0.0375", mark_price=Decimal("34287.54619963")),
                rate("binance", 1570636800000, "0.0001", mark_price=Decimal("34287.54619963")),
            ],
        ),
        (
            OKX,
            "okx_rest_funding_history.json",
            [rate("okx", 1704038400000, "-0.00002"), rate("okx", 1704067200000, "0.00015")],
        ),
        (
            BYBIT,
            "bybit_rest_funding_history.json",
            [rate("bybit", 1709856000000, "0.00015"), rate("bybit", 1709884800000, "0.0001")],
        ),
    ],
    ids=["binance-usdm", "okx", "bybit"],
)
def test_settled_rates_are_read_the_older_first(source: FundingSource, answer: str, rates: list[FundingRate]) -> None:
    assert source.read_funding(recorded(answer), SYMBOLS) == rates
    assert {each.kind for each in rates} == {FundingKind.SETTLED}
    assert source.read_funding(recorded(answer), {"ETHUSDT": "ETH-USDT-PERP"}) == [], "rows of other symbols"


def test_what_is_expected_is_read() -> None:
    expected = {"kind": FundingKind.EXPECTED}
    assert BINANCE.read_expected_funding(json.dumps([PREMIUM]).encode(), SYMBOLS) == [
        rate("binance", 1597392000000, "0.00038246", mark_price=Decimal("11793.63104562"), **expected)
    ]
    rows = json.loads(recorded("okx_ws_funding_rate.json"))["data"]  # the stream has the rows of the answer
    assert OKX.read_expected_funding(json.dumps({"code": "0", "data": rows}).encode(), SYMBOLS) == [
        rate("okx", 1744590349506, "0.0001", next_time_ms=1744619149506, **expected)
    ]
    assert BYBIT.read_expected_funding(tickers(TICKER), SYMBOLS) == [
        rate(
            "bybit", 1709913600000, "0.0001", next_time_ms=1709913600000 + 8 * HOUR_MS,
            mark_price=Decimal("62001.5"), **expected,
        )
    ]  # fmt: skip


def test_dated_contracts_have_no_rate() -> None:
    dated = PREMIUM | {"lastFundingRate": "", "nextFundingTime": 0}
    assert BINANCE.read_expected_funding(json.dumps([dated]).encode(), SYMBOLS) == []
    for changes in ({"fundingRate": ""}, {"nextFundingTime": "0"}, {"nextFundingTime": ""}):
        assert BYBIT.read_expected_funding(tickers(TICKER | changes), SYMBOLS) == []


def test_a_time_some_milliseconds_past_the_hour_is_the_hour_and_an_empty_mark_price_is_none() -> None:
    row = {"symbol": "BTCUSDT", "fundingRate": "0.00010000", "fundingTime": 1698768000008, "markPrice": ""}
    [settled] = BINANCE.read_funding(json.dumps([row]).encode(), SYMBOLS)
    assert (settled.time_ms, settled.mark_price) == (1698768000000, None)


@pytest.mark.parametrize(
    ("source", "native", "request_"),
    [
        (BINANCE, "BTCUSDT", RestRequest("/fapi/v1/fundingRate?symbol=BTCUSDT&startTime=5&endTime=8&limit=1000")),
        (OKX, "BTC-USDT-SWAP",
         RestRequest("/api/v5/public/funding-rate-history?instId=BTC-USDT-SWAP&after=9&limit=100")),
        (BYBIT, "BTCUSDT",
         RestRequest("/v5/market/funding/history?category=linear&symbol=BTCUSDT&startTime=5&endTime=8&limit=200")),
    ],
)  # fmt: skip
def test_requests_name_the_span(source: FundingSource, native: str, request_: RestRequest) -> None:
    assert source.funding(native, 5, 9) == request_


SETTLED = {
    BINANCE: '[{"symbol":"BTCUSDT","fundingRate":%s,"fundingTime":%s}]',
    OKX: '{"code":"0","data":[{"instId":"BTC-USDT-SWAP","realizedRate":%s,"fundingTime":"%s"}]}',
    BYBIT: '{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT","fundingRate":%s,"fundingRateTimestamp":"%s"}]}}',
}


@pytest.mark.parametrize("source", SETTLED, ids=["binance-usdm", "okx", "bybit"])
def test_hostile_answers_are_malformed(source: FundingSource) -> None:
    assert len(source.read_funding((SETTLED[source] % ('"-0.1"', 1709884800000)).encode(), SYMBOLS)) == 1
    for told, time in (
        ('"NaN"', 1), ('"1e-5"', 1), ("0.1", 1), ('""', 1), ("null", 1), ('"%s"' % ("9" * 16), 1),  # as a template
        ('"0.1"', 0), ('"0.1"', -1), ('"0.1"', 10**17), ('"0.1"', "x"),
    ):  # fmt: skip
        with pytest.raises(MalformedError):
            source.read_funding((SETTLED[source] % (told, time)).encode(), SYMBOLS)
    for body in (b"", b"<html>", b"[]]", b"{", b"5", b"\xff", b'{"code":"0","data":5}', b'{"retCode":0}'):
        with pytest.raises(MalformedError):
            source.read_funding(body, SYMBOLS)
        with pytest.raises(MalformedError):
            source.read_expected_funding(body, SYMBOLS)


def test_a_refusal_in_an_answer_is_told() -> None:
    with pytest.raises(MalformedError, match="50011 Too Many Requests"):
        OKX.read_funding(b'{"code":"50011","msg":"Too Many Requests","data":[]}', SYMBOLS)
    with pytest.raises(MalformedError, match="10001 params error"):
        BYBIT.read_funding(b'{"retCode":10001,"retMsg":"params error","result":{}}', SYMBOLS)
