"""The verifier's own arithmetic, compared with candles worked out by hand."""

import pytest

from candlewick.verify.amounts import clock, parse_amount, plain_amount, trimmed
from candlewick.verify.expected import MINUTE_US, Sent, SpanUs, differences, exchange_klines, expected_candles

KEY = "binance:BTC-USDT"
T0 = 1_700_000_040_000_000  # a whole minute


def sent(trade_id: int, price: str, qty: str, side: str, after_us: int) -> Sent:
    return Sent(str(trade_id), price, qty, side, T0 + after_us, trade_id)


def test_a_minute_is_folded_exactly() -> None:
    trades = [
        sent(11, "0.1", "3", "buy", 5),
        sent(10, "0.3", "0.00000001", "sell", 5),
        sent(12, "0.2", "2", "buy", 59_999_999),
    ]
    (candle,) = expected_candles(KEY, SpanUs(T0, T0 + MINUTE_US), trades, last_price=None)
    assert candle == {
        "exchange": "binance",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "open_time_ms": 1_700_000_040_000,
        "close_time_ms": 1_700_000_099_999,
        "open": "0.3",  # of equal times the lower id comes first
        "high": "0.3",
        "low": "0.1",
        "close": "0.2",
        "volume": "5.00000001",
        "quote_volume": "0.700000003",
        "trades": 3,
        "taker_buy_volume": "5",
        "taker_buy_quote_volume": "0.7",
        "first_trade_id": "10",
        "last_trade_id": "12",
        "status": ("complete",),
    }


def test_where_ids_are_texts_a_candle_names_those_of_its_open_and_close() -> None:
    trades = [
        sent(1, "2", "1", "buy", 9)._replace(trade_id="a"),
        sent(2, "1", "1", "buy", 5)._replace(trade_id="c"),
        sent(3, "3", "1", "buy", 5)._replace(trade_id="b"),
    ]
    (candle,) = expected_candles(KEY, SpanUs(T0, T0 + MINUTE_US), trades, last_price=None, best="connected")
    assert [candle[name] for name in ("open", "close", "first_trade_id", "last_trade_id")] == ["1", "2", "c", "a"]
    assert candle["status"] == ("connected",)


def test_a_kline_stands_in_with_the_fields_that_the_exchange_gives() -> None:
    span = SpanUs(T0, T0 + 2 * MINUTE_US)
    told = [sent(1, "7", "2", "buy", 1), sent(2, "9", "1", "sell", 2)]
    klines = exchange_klines(span, told, last_price=None, fields=("open", "close", "volume", "trades"))
    assert klines == {
        T0: {"open": "7", "close": "9", "volume": "3", "trades": 2},
        T0 + MINUTE_US: {"open": "9", "close": "9", "volume": "0", "trades": 0},
    }
    known, quiet = expected_candles(KEY, span, told[:1], last_price=None, klines={T0: klines[T0]})
    assert (known["close"], known["volume"], known["trades"]) == ("9", "3", 2)
    assert (known["quote_volume"], known["taker_buy_volume"]) == ("14", "2"), "of the trade that the log has"
    assert (known["first_trade_id"], known["last_trade_id"]) == (None, None)
    assert quiet["close"] == "9"


def test_quiet_minutes_stand_flat_at_the_last_price() -> None:
    span = SpanUs(T0, T0 + 3 * MINUTE_US)
    candles = list(expected_candles(KEY, span, [sent(1, "7", "1", "sell", MINUTE_US)], last_price="5"))
    assert [(candle["open"], candle["close"], candle["trades"]) for candle in candles] == [
        ("5", "5", 0),
        ("7", "7", 1),
        ("7", "7", 0),
    ]
    assert candles[0]["volume"] == "0"
    assert candles[0]["first_trade_id"] is None


def test_differences_are_named_by_field_and_revisions_are_passed_over() -> None:
    right = {"close": "1", "status": ("kline", "hole")}
    assert differences(right, {"close": "1", "status": "hole", "revision": 7}) == ""
    assert differences(right, {"close": "2", "status": "kline", "extra": 1}) == (
        "close is '2', not '1', extra is 1, not None"
    )
    assert differences(right, {"close": "1", "status": "complete"}) == "status is 'complete', not kline or hole"


@pytest.mark.parametrize(
    ("text", "plain"),
    [("27000.10000000", "27000.1"), ("0.00000000", "0"), ("100", "100"), ("0.000000000000000001",) * 2],
)
def test_amounts_are_whole_numbers_and_canonical_text(text: str, plain: str) -> None:
    assert trimmed(text) == plain
    assert plain_amount(parse_amount(text)) == plain


def test_amounts_finer_than_can_be_held_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 18"):
        parse_amount("0.0000000000000000001")


def test_times_are_told_in_words() -> None:
    assert clock(T0) == "2023-11-14 22:14"
