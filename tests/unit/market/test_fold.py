"""The fold of a minute: commutative, idempotent, exact, resumable."""

import csv
import random
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from market_strategies import MINUTE_OPEN_US, minutes_of_trades, numbers, texts, trade_ids

from market.candle import Candle, Fold, Status
from market.codec import decode_candle, encode_candle
from market.decimals import EXACT
from market.errors import MalformedError
from market.trade import Side, Trade

DATA = Path(__file__).parents[2] / "data"


def folded(trades: list[Trade]) -> Fold:
    fold = Fold()
    for trade in trades:
        fold.add(trade)
    return fold


def trade(
    trade_id: str,
    *,
    price: str = "1",
    qty: str = "1",
    time_us: int = 0,
    side: Side = Side.BUY,
    seq: int | None = None,
) -> Trade:
    return Trade(
        exchange="binance",
        symbol="BTC-USDT",
        trade_id=trade_id,
        price=Decimal(price),
        qty=Decimal(qty),
        side=side,
        time_us=MINUTE_OPEN_US + time_us,
        seq=seq,
    )


def text_order(trade: Trade) -> tuple[int, str]:
    """Those without `seq` stand first, by id."""
    return -1 if trade.seq is None else trade.seq, trade.trade_id


def candle_bytes(fold: Fold) -> bytes:
    return encode_candle(
        Candle(
            exchange="binance",
            symbol="BTC-USDT",
            timeframe="1m",
            open_time_ms=MINUTE_OPEN_US // 1000,
            close_time_ms=MINUTE_OPEN_US // 1000 + 59_999,
            open=fold.open,
            high=fold.high,
            low=fold.low,
            close=fold.close,
            volume=fold.volume,
            quote_volume=fold.quote_volume,
            trades=fold.trades,
            taker_buy_volume=fold.taker_buy_volume,
            taker_buy_quote_volume=fold.taker_buy_quote_volume,
            first_trade_id=fold.first_trade_id(),
            last_trade_id=fold.last_trade_id(),
            revision=7,
            status=Status.COMPLETE,
        )
    )


@given(minutes_of_trades(trade_ids), st.randoms(use_true_random=False))
def test_any_order_and_any_duplication_give_the_same_bytes(trades: list[Trade], shuffler: random.Random) -> None:
    again = trades + [shuffler.choice(trades) for _ in range(len(trades))]
    shuffler.shuffle(again)
    assert candle_bytes(folded(again)) == candle_bytes(folded(trades))


@given(minutes_of_trades(trade_ids))
def test_sums_are_exact_however_wide(trades: list[Trade]) -> None:
    assume(trades)
    fold = folded(trades)
    bought = [trade for trade in trades if trade.side is Side.BUY]

    def volume(of: list[Trade]) -> Fraction:
        return sum((Fraction(str(trade.qty)) for trade in of), Fraction())

    def turnover(of: list[Trade]) -> Fraction:
        return sum((Fraction(str(trade.price)) * Fraction(str(trade.qty)) for trade in of), Fraction())

    candle = decode_candle(candle_bytes(fold))
    assert Fraction(candle.volume) == volume(trades)
    assert Fraction(candle.quote_volume) == turnover(trades)
    assert Fraction(candle.taker_buy_volume) == volume(bought)
    assert Fraction(candle.taker_buy_quote_volume) == turnover(bought)
    assert candle.trades == len(trades)


def test_the_least_and_the_greatest_trade_there_can_be_add_up() -> None:
    greatest, least = "9" * 12, "0.00000000001"
    fold = folded([trade("1", price=greatest, qty="9"), trade("2", price=least, qty=least)])
    assert Fraction(fold.quote_volume) == Fraction(9 * int(greatest)) + Fraction(1, 10**22)
    assert decode_candle(candle_bytes(fold)).quote_volume == fold.quote_volume


def test_arithmetic_raises_rather_than_round() -> None:
    with pytest.raises(ArithmeticError):
        EXACT.divide(Decimal(1), Decimal(3))
    with pytest.raises(ArithmeticError):
        EXACT.add(Decimal("1e400"), Decimal("1e-400"))


@given(minutes_of_trades(trade_ids))
def test_open_and_close_are_the_least_and_greatest_by_time_then_id_or_seq(trades: list[Trade]) -> None:
    if not trades:
        return
    numeric = [t for t in trades if t.trade_id.isdecimal() and t.trade_id == str(int(t.trade_id))]
    others = [t for t in trades if t not in numeric]
    ranked = sorted(numeric, key=lambda t: int(t.trade_id)) + sorted(others, key=text_order)
    ranked.sort(key=lambda t: t.time_us)
    fold = folded(trades)
    assert (fold.open, fold.close) == (ranked[0].price, ranked[-1].price)
    assert fold.high == max(trade.price for trade in trades)
    assert fold.low == min(trade.price for trade in trades)


UUIDS = ("f7496ecb-b174-51b9-ba56-150186ba6c27", "2089f1f4-d890-5762-a652-49a743fab436")


def test_trades_of_one_time_whose_ids_are_no_numbers_stand_in_the_order_of_seq() -> None:
    first, second = trade(UUIDS[0], price="100", seq=1), trade(UUIDS[1], price="101", seq=2)
    for trades in ([first, second], [second, first]):
        fold = Fold.restore(orjson.loads(orjson.dumps(folded(trades[:1]).snapshot())))
        fold.add(trades[1])
        assert (fold.open, fold.close, fold.first_trade_id()) == (100, 101, UUIDS[0])


def test_seq_decides_nothing_where_ids_are_numbers_or_times_differ() -> None:
    fold = folded([trade("1", price="100", seq=9), trade("2", price="101", seq=3)])
    assert (fold.open, fold.close) == (100, 101)
    fold = folded([trade("a", price="100", time_us=1, seq=9), trade("b", price="101", time_us=2, seq=3)])
    assert (fold.open, fold.close) == (100, 101)


def test_a_fold_that_was_written_without_seq_is_read() -> None:
    snapshot = folded([trade("a", seq=5), trade("b", time_us=1)]).snapshot()
    assert snapshot.pop("open_seq") == 5
    assert "close_seq" not in snapshot
    assert "open_seq" not in folded([trade("7", seq=5)]).snapshot(), "numbers need none"
    assert Fold.restore(snapshot).first_trade_id() == "a"


@given(minutes_of_trades(numbers))
def test_numeric_ids_give_the_least_and_the_greatest_number(trades: list[Trade]) -> None:
    fold, ids = folded(trades), [int(trade.trade_id) for trade in trades]
    assert fold.first_trade_id() == (str(min(ids)) if ids else None)
    assert fold.last_trade_id() == (str(max(ids)) if ids else None)


def test_numeric_ids_are_compared_as_numbers_even_against_time() -> None:
    fold = folded([trade("9", time_us=2), trade("10", time_us=1)])
    assert (fold.first_trade_id(), fold.last_trade_id()) == ("9", "10")


@given(minutes_of_trades(st.uuids().map(str)))
def test_other_ids_give_those_of_open_and_close(trades: list[Trade]) -> None:
    fold = folded(trades)
    ranked = sorted(trades, key=lambda trade: (trade.time_us, *text_order(trade)))
    assert fold.first_trade_id() == (ranked[0].trade_id if ranked else None)
    assert fold.last_trade_id() == (ranked[-1].trade_id if ranked else None)


def test_one_id_that_is_no_number_makes_the_edges_decide() -> None:
    fold = folded([trade("5", time_us=2), trade("1", time_us=3), trade("x", time_us=1)])
    assert (fold.first_trade_id(), fold.last_trade_id()) == ("x", "1")


@pytest.mark.parametrize("trade_id", ["007", "9" * 19, "9" * 5000, "\u0663", "-1", "1.0", " 1"])
def test_an_id_that_is_no_plain_number_of_64_bits_is_a_text(trade_id: str) -> None:
    fold = folded([trade(trade_id), trade(trade_id), trade("7")])
    assert fold.trades == 2
    assert fold.ids.texts == {trade_id}
    assert Fold.restore(orjson.loads(orjson.dumps(fold.snapshot()))).ids.texts == {trade_id}


@given(minutes_of_trades(st.one_of(trade_ids, texts)), st.data())
def test_a_snapshot_restored_at_any_point_equals_the_uninterrupted(trades: list[Trade], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(trades)))
    resumed = Fold.restore(orjson.loads(orjson.dumps(folded(trades[:at]).snapshot())))
    for trade in trades:  # those before the snapshot once more
        resumed.add(trade)
    assert candle_bytes(resumed) == candle_bytes(folded(trades))
    assert orjson.dumps(resumed.snapshot()) == orjson.dumps(folded(trades).snapshot())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Fold().snapshot())), json_values)
def test_a_broken_snapshot_is_malformed_or_read(name: str, value: object) -> None:
    snapshot = folded([trade("1"), trade("2"), trade("x")]).snapshot()
    with suppress(MalformedError):
        Fold.restore({**snapshot, name: value})
    with pytest.raises(MalformedError):
        Fold.restore({other: snapshot[other] for other in snapshot if other != name})


def test_real_trades_give_the_sums_of_binance_own_columns() -> None:
    rows = list(csv.reader((DATA / "BTCUSDT-trades-2021-01-08-head.csv").read_text().splitlines()))
    trades = [
        trade(
            row[0],
            price=row[1],
            qty=row[2],
            time_us=int(row[4]) * 1000 - MINUTE_OPEN_US,
            side=Side.SELL if row[5] == "True" else Side.BUY,
        )
        for row in rows
    ]
    fold = folded(trades[::-1])
    in_order_of_ids = [Decimal(row[1]) for row in rows]
    in_units = [(int(row[2].replace(".", "")), int(row[3].replace(".", "")), row[5]) for row in rows]  # 10^-8 each
    assert (fold.open, fold.close) == (in_order_of_ids[0], in_order_of_ids[-1])
    assert (fold.high, fold.low) == (max(in_order_of_ids), min(in_order_of_ids))
    assert fold.volume.scaleb(8) == sum(qty for qty, _, _ in in_units)
    assert fold.quote_volume.scaleb(8) == sum(quote_qty for _, quote_qty, _ in in_units)
    assert fold.taker_buy_volume.scaleb(8) == sum(
        qty for qty, _, buyer_is_maker in in_units if buyer_is_maker == "False"
    )
    assert fold.taker_buy_quote_volume.scaleb(8) == sum(
        quote_qty for _, quote_qty, buyer_is_maker in in_units if buyer_is_maker == "False"
    )
    assert (fold.first_trade_id(), fold.last_trade_id(), fold.trades) == (rows[0][0], rows[-1][0], len(rows))
