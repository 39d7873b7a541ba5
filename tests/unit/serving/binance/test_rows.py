"""Records of ours as Binance's rows, held against its own answers and the examples of its documentation."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from market.candle import Candle, Status
from market.codec import encode_candle
from market.instrument import Instrument, InstrumentStatus
from market.key import MarketKey
from market.ticker import Ticker, Window
from market.trade import Side, Trade
from serving.binance.klines import coverage_headers, kline_row, klines_question
from serving.binance.parameters import SpotApiError, SpotParameters
from serving.binance.spot_api import by_name
from serving.binance.tickers import symbol_object, ticker_object
from serving.binance.trades import aggregate_row, aggregates_of, trade_row
from serving.encoded import EncodedCandle
from serving.lengths import MINUTE, CandleLength
from serving.planner import SourcedCandle, Tier
from serving.present import PresentCandles

DATA = Path(__file__).parents[3] / "data"
BTC = MarketKey("binance", "BTC-USDT")
KLINES = ("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
HOUR = 3_600_000


def plain(value: Any) -> Any:
    """Decimals without the zeros at their ends, which Binance writes and we do not."""
    return str(Decimal(value).normalize()) if isinstance(value, str) else value


def asked(**parameters: str) -> SpotParameters:
    return SpotParameters([("symbol", "BTCUSDT"), ("interval", "1h"), *parameters.items()], KLINES)


def candle(open_ms: int, *, status: Status = Status.COMPLETE, minutes: int = 1) -> EncodedCandle:
    return EncodedCandle(open_ms, 1, status, minutes, b"")


def trade(number: int | str, price: str = "2", qty: str = "0.1", time_us: int = 5_001, side: Side = Side.BUY) -> Trade:
    return Trade(
        exchange="binance", symbol="BTC-USDT", trade_id=str(number), price=Decimal(price), qty=Decimal(qty), side=side,
        time_us=time_us,
    )  # fmt: skip


def test_a_kline_is_binances_row_but_for_zeros_at_the_ends_of_decimals() -> None:
    [row] = orjson.loads((DATA / "binance_rest_klines.json").read_bytes())
    names = ("open", "high", "low", "close", "volume")
    sums = {"quote_volume": row[7], "taker_buy_volume": row[9], "taker_buy_quote_volume": row[10]}
    numbers = {name: Decimal(text) for name, text in {**dict(zip(names, row[1:6], strict=True)), **sums}.items()}
    own = Candle(
        exchange="binance", symbol="ETH-BTC", timeframe="1w", open_time_ms=row[0], close_time_ms=row[6], trades=row[8],
        revision=1, status=Status.COMPLETE, **numbers,
    )  # fmt: skip
    encoded = EncodedCandle(row[0], 1, Status.COMPLETE, 1, encode_candle(own))
    told = kline_row(encoded, is_micro=False)
    assert list(map(plain, told)) == list(map(plain, row))
    micro = kline_row(encoded, is_micro=True)
    assert (micro[0], micro[6]) == (row[0] * 1000, row[6] * 1000 + 999)


def test_a_trade_is_binances_row() -> None:
    [row] = orjson.loads((DATA / "binance_rest_trades.json").read_bytes())
    own = trade(row["id"], row["price"], row["qty"], row["time"] * 1000 + 7, Side.SELL)
    assert {name: plain(value) for name, value in trade_row(own, is_micro=False).items()} == {
        name: plain(value) for name, value in row.items()
    }
    assert trade_row(own, is_micro=True)["time"] == row["time"] * 1000 + 7


def test_ids_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(SpotApiError, match="ids that are no numbers: ask /v1/trades"):
        trade_row(trade("a1-b2"), is_micro=False)


def test_trades_of_one_price_time_and_side_are_one_aggregate_with_the_id_of_the_first() -> None:
    trades = [
        trade(1), trade(2), trade(3, qty="0.000000000000000001"),
        trade(4, price="2.1"), trade(5, time_us=5_002), trade(6, time_us=5_002, side=Side.SELL),
        trade(7, time_us=5_002),
    ]  # fmt: skip
    rows = [aggregate_row(each, is_micro=False) for each in aggregates_of(trades)]
    assert [(row["a"], row["f"], row["l"]) for row in rows] == [(1, 1, 3), (4, 4, 4), (5, 5, 5), (6, 6, 6), (7, 7, 7)]
    assert rows[0] == {
        "a": 1, "p": "2", "q": "0.200000000000000001", "f": 1, "l": 3, "T": 5, "m": False, "M": True,
    }  # fmt: skip
    assert rows[3]["m"] is True


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("0", 0), ("8", 8), ("05:45", 5.75), ("-1:00", -1), ("-12:00", -12), ("+14:00", 14), ("-0:30", -0.5)],
)
def test_a_time_zone_moves_the_windows(zone: str, hours: float) -> None:
    assert klines_question(BTC, asked(timeZone=zone)).length.offset_ms == hours * HOUR


@pytest.mark.parametrize("zone", ["14:01", "-12:01", "15", "x", "5:4", "05:60", "Z", "٣"])
def test_other_time_zones_are_refused(zone: str) -> None:
    with pytest.raises(SpotApiError, match="'timeZone'"):
        klines_question(BTC, asked(timeZone=zone))


def test_times_are_of_open_times_and_both_are_in() -> None:
    question = klines_question(BTC, asked(startTime="1000", endTime="2000", limit="7"))
    assert (question.from_ms, question.until_ms, question.limit, question.is_last) == (1000, 2001, 7, False)
    question = klines_question(BTC, asked(endTime="2000"))
    assert (question.from_ms, question.until_ms, question.limit, question.is_last) == (0, 2001, 500, True)
    assert not klines_question(BTC, asked(startTime="0")).is_last
    with pytest.raises(SpotApiError, match="Invalid interval"):
        klines_question(BTC, SpotParameters([("symbol", "A"), ("interval", "1s")], KLINES))


def test_headers_say_what_the_rows_cannot() -> None:
    hour = CandleLength.parse("1h")
    there = {
        0: SourcedCandle(candle(0, status=Status.HOLE, minutes=58), (Tier.WARM, Tier.COLD)),
        2 * HOUR: SourcedCandle(candle(2 * HOUR, minutes=60), (Tier.HOT,)),
        3 * HOUR: SourcedCandle(candle(3 * HOUR, status=Status.OPEN, minutes=3), (Tier.HOT,)),
    }
    assert coverage_headers(PresentCandles(length=hour, candles=there, away={Tier.COLD})) == {
        "X-Candlewick-Coverage": "expected=4, present=3, open=1, minutes_missing=2, worst=hole",
        "X-Candlewick-Source": "hot, warm, cold",
        "X-Candlewick-Away": "cold",
    }
    assert coverage_headers(PresentCandles(length=MINUTE)) == {
        "X-Candlewick-Coverage": "expected=0, present=0, open=0, minutes_missing=0"
    }


def test_a_ticker_has_binances_fields_and_null_for_what_is_not_known() -> None:
    window = Window(
        minutes=1440, open=Decimal(1), high=Decimal(3), low=Decimal("0.5"), close=Decimal(2), change=Decimal(1),
        change_percent=Decimal(100), vwap=None, volume=Decimal(5), quote_volume=Decimal("6.5"),
        taker_buy_volume=Decimal(2), trades=9, status=Status.COMPLETE, since_ms=1000,
    )  # fmt: skip
    ticker = Ticker(
        exchange="binance", symbol="BTC-USDT", time_ms=86_401_000, last=Decimal("2.5"), live=True, revision=1,
        windows={"24h": window},
    )  # fmt: skip
    full = ticker_object("BTCUSDT", ticker, is_mini=False, is_micro=False)
    mini = ticker_object("BTCUSDT", ticker, is_mini=True, is_micro=True)
    # The fields of the examples in `rest-api.md`, "24hr ticker price change statistics", in their order.
    assert full == {
        "symbol": "BTCUSDT", "priceChange": "1", "priceChangePercent": "100", "weightedAvgPrice": None,
        "prevClosePrice": None, "openPrice": "1", "highPrice": "3", "lowPrice": "0.5", "lastPrice": "2.5",
        "lastQty": None, "bidPrice": None, "bidQty": None, "askPrice": None, "askQty": None, "volume": "5",
        "quoteVolume": "6.5", "openTime": 1000, "closeTime": 86_400_999, "firstId": None, "lastId": None, "count": 9,
    }  # fmt: skip
    assert mini == {
        "symbol": "BTCUSDT", "openPrice": "1", "highPrice": "3", "lowPrice": "0.5", "lastPrice": "2.5", "volume": "5",
        "quoteVolume": "6.5", "openTime": 1_000_000, "closeTime": 86_400_999_999, "firstId": None, "lastId": None,
        "count": 9,
    }  # fmt: skip


def instrument(symbol: str, base: str, quote: str, **more: Any) -> Instrument:
    return Instrument(exchange="binance", symbol=symbol, native=f"{base}{quote}", base=base, quote=quote, **more)


def test_an_instrument_tells_its_steps() -> None:
    told = symbol_object(instrument("BTC-USDT", "BTC", "USDT", tick=Decimal("0.010"), status=InstrumentStatus.HALTED))
    assert (told["symbol"], told["status"], told["baseAsset"], told["quoteAsset"]) == ("BTCUSDT", "HALT", "BTC", "USDT")
    assert told["filters"] == [{"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": "0.01"}]


def test_contracts_have_no_spot_name_and_a_name_that_two_share_has_no_market() -> None:
    listed = [
        instrument("BTC-USDT", "BTC", "USDT"),
        instrument("BTC-USDT-PERP", "BTC", "USDT"),
        instrument("A-BCD", "A", "BCD"),
        instrument("AB-CD", "AB", "CD"),
    ]
    assert {name: each.symbol for name, each in by_name(listed).items()} == {"BTCUSDT": "BTC-USDT"}
