"""The exchange's own kline."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market.errors import MalformedError
from market.kline import Kline, parse_kline

REAL = Path(__file__).parents[2] / "data" / "binance_rest_klines.json"
ROW: list[Any] = orjson.loads(REAL.read_bytes())[0]


@pytest.mark.parametrize("exchange", ["binance", "binance-agg", "binance-usdm"])
def test_a_real_row_of_binance(exchange: str) -> None:
    assert parse_kline(exchange, orjson.dumps(ROW)) == Kline(
        open_time_ms=1_499_040_000_000,
        open=Decimal("0.01634790"),
        high=Decimal("0.80000000"),
        low=Decimal("0.01575800"),
        close=Decimal("0.01577100"),
        volume=Decimal("148976.11427815"),
        quote_volume=Decimal("2434.19055334"),
        trades=308,
        taker_buy_volume=Decimal("1756.87402397"),
        taker_buy_quote_volume=Decimal("28.46694368"),
    )


def test_an_exchange_without_a_known_kline_is_malformed() -> None:
    with pytest.raises(MalformedError, match="kraken"):
        parse_kline("kraken", orjson.dumps(ROW))


def test_elements_behind_the_twelfth_are_passed_over_and_none_may_be_missing() -> None:
    assert parse_kline("binance", orjson.dumps([*ROW, {"new": 1}])) == parse_kline("binance", orjson.dumps(ROW))
    with pytest.raises(MalformedError):
        parse_kline("binance", orjson.dumps(ROW[:-1]))


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("bad", ["NaN", "1e5", "-1", -1, 1.5, None, [], 1 << 63], ids=repr)
def test_a_broken_element_is_malformed(at: int, bad: object) -> None:
    if at == 11 and isinstance(bad, str):
        return  # nobody reads the unused one
    with pytest.raises(MalformedError):
        parse_kline("binance", orjson.dumps([*ROW[:at], bad, *ROW[at + 1 :]]))


@given(st.binary(max_size=100))
@example(b"")
@example(b"null")
@example(b"{}")
@example(b"[" * 100_000)
@example(b'["\xff"]')
@example(orjson.dumps(ROW).replace(b"0.80000000", b"\xff"))
@example(REAL.read_bytes())
def test_random_bytes_are_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_kline("binance", wire)
