"""Rows of a store become the models that they were made of, or are refused."""

import datetime as dt
from decimal import Decimal

import pytest

from market.candle import Status
from market.errors import MalformedError
from sinks.decode import decode_candle_row, decode_trade_row
from sinks.decode_ticker import decode_ticker_rows

OPEN = dt.datetime(2021, 1, 8, tzinfo=dt.UTC)
CANDLE = {
    "exchange": "binance", "symbol": "BTC-USDT", "timeframe": "1M", "open_time": OPEN.replace(day=1), "revision": 7,
    "open": Decimal(1), "high": Decimal(2), "low": Decimal(1), "close": Decimal("1.5"), "volume": Decimal(3),
    "quote_volume": Decimal(4), "trades": 2, "taker_buy_volume": Decimal(1), "taker_buy_quote_volume": Decimal(2),
    "first_trade_id": None, "last_trade_id": "2", "status": "hole", "run": "r1", "offset": 5,
}  # fmt: skip
TRADE = {
    "exchange": "binance", "symbol": "BTC-USDT", "trade_id": "7", "price": Decimal("0.1"), "qty": Decimal(1),
    "side": "sell", "time": OPEN + dt.timedelta(microseconds=3), "received": OPEN, "source": "rest", "seq": None,
}  # fmt: skip
WINDOW = {
    "exchange": "binance", "symbol": "BTC-USDT", "last": Decimal(2), "live": False, "revision": 3, "time": OPEN,
    "minutes": 60, "open": Decimal(1), "high": Decimal(2), "low": Decimal(1), "close": Decimal(2), "vwap": None,
    "change": Decimal(1), "change_percent": Decimal(100), "volume": Decimal(0), "quote_volume": Decimal(0),
    "taker_buy_volume": Decimal(0), "trades": 0, "status": "complete", "window": "1h", "since": OPEN, "missing": 0,
    "taker_buy_share": None, "realised_volatility": None,
}  # fmt: skip


def test_a_candle_s_close_time_follows_from_its_timeframe() -> None:
    candle = decode_candle_row(CANDLE)
    assert (candle.open_time_ms, candle.close_time_ms) == (1_609_459_200_000, 1_612_137_599_999)
    assert (candle.status, candle.close, candle.revision) == (Status.HOLE, Decimal("1.5"), 7)


def test_a_trade_keeps_its_microseconds() -> None:
    assert decode_trade_row(TRADE).time_us == 1_610_064_000_000_003


def test_a_ticker_is_made_of_the_newest_rows_only() -> None:
    older = WINDOW | {"window": "24h", "time": OPEN - dt.timedelta(minutes=1), "revision": 2}
    ticker = decode_ticker_rows([older, WINDOW])
    assert ticker is not None
    assert (list(ticker.windows), ticker.revision, ticker.time_ms) == (["1h"], 3, 1_610_064_000_000)
    assert ticker.windows["1h"].since_ms == ticker.time_ms
    assert decode_ticker_rows([]) is None


def test_rows_that_are_not_ours_are_malformed() -> None:
    with pytest.raises(MalformedError, match="candle"):
        decode_candle_row({key: value for key, value in CANDLE.items() if key != "revision"})
    with pytest.raises(MalformedError, match="trade"):
        decode_trade_row(TRADE | {"side": "both"})
    with pytest.raises(MalformedError, match="ticker"):
        decode_ticker_rows([WINDOW | {"time": "yesterday"}])
