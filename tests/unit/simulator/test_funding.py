"""The simulator's funding endpoints, read by our own adapters: what they give are the rates of the market."""

from decimal import Decimal

import pytest
from simulator_client import simulator

from market.funding import FundingKind
from market.timeframe import HOUR_MS
from producers.exchanges.funding import FUNDING
from producers.simulator.funding import EVERY_MS, expected, settled
from producers.simulator.instruments import instrument

NATIVE = {"binance-usdm": "{}USDT", "okx-swap": "{}-USDT-SWAP", "bybit-linear": "{}USDT"}
NOW_MS = 1_760_000_400_000
FROM_MS, UNTIL_MS = NOW_MS - 200 * EVERY_MS, NOW_MS - 100 * EVERY_MS


@pytest.mark.parametrize("name", sorted(FUNDING))
async def test_settled_and_expected_rates_are_those_of_the_market(name: str) -> None:
    source, symbols = FUNDING[name], {NATIVE[name].format(base): f"{base}-USDT-PERP" for base in ("BTC", "ETH")}
    async with simulator(symbols=("BTCUSDT", "ETHUSDT"), start_us=NOW_MS * 1_000, speed=1.0) as client:
        for native, symbol in symbols.items():
            span_ms = source.page_rates * HOUR_MS
            rates = []
            for from_ms in range(FROM_MS, UNTIL_MS, span_ms):
                request = source.funding(native, from_ms, min(from_ms + span_ms, UNTIL_MS))
                told = source.read_funding((await client.body(request.path))[1], symbols)
                rates += [rate for rate in told if rate.time_ms >= from_ms]
            market = instrument(native.replace("-SWAP", "").replace("-", ""))
            truth = [(time_ms, Decimal(rate)) for time_ms, rate in settled(market, FROM_MS, UNTIL_MS)]
            assert [(rate.time_ms, rate.rate) for rate in rates] == truth
            assert len(truth) == 100
            assert {(rate.symbol, rate.kind) for rate in rates} == {(symbol, FundingKind.SETTLED)}
        body = (await client.body(source.expected_funding().path))[1]
        by_symbol = {rate.symbol: rate for rate in source.read_expected_funding(body, symbols)}
        assert set(by_symbol) == set(symbols.values())
        time_ms, rate = expected(instrument("BTCUSDT"), NOW_MS)
        bitcoin = by_symbol["BTC-USDT-PERP"]
        assert (bitcoin.time_ms, bitcoin.rate, bitcoin.kind) == (time_ms, Decimal(rate), FundingKind.EXPECTED)


async def test_okx_forgets_rates_after_three_months() -> None:
    source = FUNDING["okx-swap"]
    async with simulator(symbols=("BTCUSDT",), start_us=NOW_MS * 1_000, speed=1.0) as client:
        request = source.funding("BTC-USDT-SWAP", 0, NOW_MS - 300 * EVERY_MS)
        assert source.read_funding((await client.body(request.path))[1], {"BTC-USDT-SWAP": "BTC-USDT-PERP"}) == []
