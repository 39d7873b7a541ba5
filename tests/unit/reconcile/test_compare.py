"""Candles against klines: which minutes differ, and how."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from candlewick.reconcile.compare import (
    FIELDS,
    MAX_NAMED,
    ComparedSpan,
    Discrepancy,
    FieldDifference,
    MarketComparison,
    comparable_fields,
    compare_market,
)
from candlewick.reconcile.report import Reconciliation, as_json, detail_rows, notes, verdict
from market.candle import Candle, Status
from market.given_candle import GivenCandle
from market.key import MarketKey

KEY = MarketKey("binance", "BTC-USDT")
T0 = 1_610_064_000_000
MINUTE = 60_000
SPAN = ComparedSpan(T0, T0 + 5 * MINUTE)
BEFORE = -1


def candle(minute: int, **changes: Any) -> Candle:
    candle = Candle(
        exchange=KEY.exchange, symbol=KEY.symbol, timeframe="1m",
        open_time_ms=T0 + minute * MINUTE, close_time_ms=T0 + (minute + 1) * MINUTE - 1,
        open=Decimal(10), high=Decimal(12), low=Decimal(9), close=Decimal(11),
        volume=Decimal("1.5"), quote_volume=Decimal("16.25"), trades=3,
        taker_buy_volume=Decimal("0.5"), taker_buy_quote_volume=Decimal("5.25"),
        first_trade_id="1", last_trade_id="3", revision=7, status=Status.COMPLETE,
    )  # fmt: skip
    return structs.replace(candle, **changes)


def flat(minute: int, **changes: Any) -> Candle:
    sums = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), Decimal(0))
    return candle(minute, trades=0, first_trade_id=None, last_trade_id=None, **sums, **changes)


def kline(minute: int, **changes: Any) -> GivenCandle:
    ours = candle(minute)
    return GivenCandle(open_time_ms=ours.open_time_ms, **({name: getattr(ours, name) for name in FIELDS} | changes))


def compared(candles: list[Candle], klines: list[GivenCandle], span: ComparedSpan = SPAN) -> MarketComparison:
    return compare_market(KEY, span, {each.open_time_ms: each for each in candles}, klines)


def test_each_minute_is_told_by_what_both_sides_have() -> None:
    outcome = compared(
        [candle(0), candle(1), flat(2), candle(4, close=Decimal("11.1"))],
        [kline(BEFORE), kline(0), kline(3), kline(4)],
    )
    assert (outcome.same, outcome.quiet, outcome.in_neither, outcome.not_given) == (1, 1, 0, 0)
    assert [(each.open_ms, each.kind) for each in outcome.named] == [
        (T0 + MINUTE, Discrepancy.MISSING_THERE),
        (T0 + 3 * MINUTE, Discrepancy.MISSING_HERE),
        (T0 + 4 * MINUTE, Discrepancy.DIFFERS),
    ]
    assert outcome.named[2].fields == (FieldDifference("close", Decimal("11.1"), Decimal(11)),)
    assert outcome.spans_that_differ == [
        ComparedSpan(T0 + MINUTE, T0 + 2 * MINUTE),
        ComparedSpan(T0 + 3 * MINUTE, SPAN.until_ms),
    ]


def test_a_minute_that_nobody_has_is_no_difference() -> None:
    outcome = compared([candle(0), candle(2)], [kline(0), kline(2)], ComparedSpan(T0, T0 + 3 * MINUTE))
    assert (outcome.same, outcome.in_neither, outcome.differing) == (2, 1, 0)


def test_minutes_before_the_exchanges_history_are_not_compared() -> None:
    outcome = compared([candle(minute) for minute in range(5)], [kline(3), kline(4)])
    assert (outcome.not_given, outcome.same, outcome.differing) == (3, 2, 0)
    assert compared([candle(0)], []).not_given == 5


def test_a_kline_before_the_span_shows_that_the_history_reaches_back() -> None:
    outcome = compared([candle(0)], [kline(BEFORE)], ComparedSpan(T0, T0 + MINUTE))
    assert outcome.counts[Discrepancy.MISSING_THERE] == 1


def test_fields_that_the_exchange_does_not_give_are_not_compared() -> None:
    absent = dict.fromkeys(("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"))
    ours = candle(0, quote_volume=Decimal(17), trades=4)
    assert compared([ours], [kline(0, **absent)], ComparedSpan(T0, T0 + MINUTE)).same == 1


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.CONNECTED, Status.KLINE, Status.HOLE])
def test_a_difference_is_expected_where_the_candle_is_not_complete(status: Status) -> None:
    is_expected = status is not Status.COMPLETE
    outcome = compared([candle(0, trades=2, status=status)], [kline(0)], ComparedSpan(T0, T0 + MINUTE))
    assert (outcome.differing, outcome.expected) == (1, int(is_expected))
    assert outcome.named[0].is_expected is is_expected


@pytest.mark.parametrize(
    ("ours", "theirs", "trades", "same"),
    [
        ("0.000003455", "0.00000345", 1, True),  # the exchange cuts the ninth place
        ("0.000003455", "0.00000346", 1, True),  # or rounds it
        ("0.000003455", "0.00000347", 1, False),
        ("0.000010365", "0.00001034", 3, True),  # each of three trades was cut
        ("0.000010365", "0.00001033", 3, False),
        ("16.2512", "16.25", 1_000_000, False),  # two places are no rounding
        ("16.25000001", "16.25000002", 1_000_000, False),  # nothing had to be rounded
        ("16.25", "16.25000000", 1, True),
    ],
)
def test_turnover_may_be_rounded_by_the_exchange_where_it_has_more_places(
    ours: str,
    theirs: str,
    trades: int,
    same: bool,  # noqa: FBT001  # a case of the table
) -> None:
    given_kline = kline(0, quote_volume=Decimal(theirs), trades=trades)
    outcome = compared(
        [candle(0, quote_volume=Decimal(ours), trades=trades)], [given_kline], ComparedSpan(T0, T0 + MINUTE)
    )
    assert (outcome.differing == 0) is same


def test_a_volume_is_never_rounded() -> None:
    ours = candle(0, volume=Decimal("1.123456781"))
    assert compared([ours], [kline(0, volume=Decimal("1.12345678"))], ComparedSpan(T0, T0 + MINUTE)).differing == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("14.69763001", "14.697630010000001", True),  # of a real answer of Coinbase
        ("14.69763", "14.697629999999999", True),
        ("14.69763001", "14.697630020000001", False),
        ("1234567.12345678", "1234567.1234567801", True),
        ("1234567.12345679", "1234567.1234567801", False),
        ("14.69763001", "14.6976300100001", False),  # fifteen digits: no float has to be written so
        ("123456789.1234567", "123456789.12345678", False),
        ("12345678901.12345677", "12345678901.12345678", False),
    ],
)
def test_the_noise_of_floats_is_no_difference(ours: str, theirs: str, same: bool) -> None:  # noqa: FBT001  # a case
    mine, given_kline = candle(0, volume=Decimal(ours)), kline(0, volume=Decimal(theirs))
    assert (compared([mine], [given_kline], ComparedSpan(T0, T0 + MINUTE)).same == 1) is same


def test_the_count_of_an_exchange_that_counts_fills_is_not_compared() -> None:
    span, ours = ComparedSpan(T0, T0 + MINUTE), {T0: candle(0)}
    for counts_trades, same in ((True, 0), (False, 1)):
        fields = comparable_fields(counts_trades=counts_trades)
        assert compare_market(KEY, span, ours, [kline(0, trades=9)], fields).same == same


def test_klines_that_open_within_a_minute_are_counted_and_match_nothing() -> None:
    shifted = structs.replace(kline(1), open_time_ms=T0 + MINUTE + 14_000)
    outcome = compared([candle(0), candle(1)], [kline(0), shifted], ComparedSpan(T0, T0 + 2 * MINUTE))
    assert (outcome.within_minutes, outcome.same, outcome.counts[Discrepancy.MISSING_THERE]) == (1, 1, 1)


def test_all_differences_are_counted_and_the_first_are_named() -> None:
    minutes = MAX_NAMED + 5
    span = ComparedSpan(T0, T0 + minutes * MINUTE)
    outcome = compared([], [kline(minute) for minute in range(minutes)], span)
    assert (outcome.differing, len(outcome.named), outcome.spans_that_differ) == (minutes, MAX_NAMED, [span])


sides = st.sets(st.integers(-2, 8))


@given(sides, sides, sides)
def test_each_minute_is_counted_once(here: set[int], there: set[int], wrong: set[int]) -> None:
    span = ComparedSpan(T0, T0 + 7 * MINUTE)
    outcome = compared(
        [candle(minute, close=Decimal(10 if minute in wrong else 11)) for minute in here],
        [kline(minute) for minute in there],
        span,
    )
    assert outcome.compared + outcome.in_neither + outcome.not_given == len(span.minutes)
    differ = {open_ms for each in outcome.spans_that_differ for open_ms in each.minutes}
    assert differ == {each.open_ms for each in outcome.named}
    for minute in here & there & set(range(7)):
        assert (T0 + minute * MINUTE in differ) is (minute in wrong)


@given(st.sampled_from(FIELDS), st.integers(0, 4))
def test_one_changed_field_is_told_by_name(name: str, minute: int) -> None:
    ours = [candle(each) for each in range(5)]
    changed = getattr(ours[minute], name) + 1
    ours[minute] = structs.replace(ours[minute], **{name: changed})
    outcome = compared(ours, [kline(each) for each in range(5)])
    assert outcome.same == 4
    assert [(each.open_ms, each.fields) for each in outcome.named] == [
        (T0 + minute * MINUTE, (FieldDifference(name, changed, changed - 1),))
    ]


def test_the_report_says_what_differs_and_what_was_left_out() -> None:
    wrong = compared([candle(3, close=Decimal("11.10"), status=Status.HOLE)], [kline(3), kline(4)])
    result = Reconciliation("binance", SPAN, leaves_out_young=True, is_log_cut=True, markets=[wrong], unreadable=1)
    assert verdict(result) == (
        "NOT the same: 2021-01-08T00:00Z until 2021-01-08T00:05Z: 2 minutes compared, 2 differ, "
        "1 of them in candles that are not complete"
    )
    told = list(notes(result))
    assert [sentence.split(":")[0] for sentence in told] == [
        "minutes younger than two minutes are left out",
        "binance",
        "the candle topic no longer has its beginning",
        "1 records of the candle topic can't be read and count as missing",
    ]
    assert "the first 3 minutes" in told[1]
    assert list(detail_rows(wrong)) == [
        ("binance:BTC-USDT", "2021-01-08T00:03Z", "close", "hole", "11.1", "11"),
        ("binance:BTC-USDT", "2021-01-08T00:04Z", "missing here", "", "", ""),
    ]
    (market,) = as_json(result)["markets"]
    assert market["differences"][0] == {
        "open_time_ms": T0 + 3 * MINUTE,
        "kind": "differs",
        "status": "hole",
        "expected": True,
        "fields": {"close": {"ours": "11.1", "theirs": "11"}},
    }
    assert market["spans_that_differ"] == [{"from_ms": T0 + 3 * MINUTE, "until_ms": SPAN.until_ms}]


def test_where_nothing_was_given_nothing_is_called_the_same() -> None:
    result = Reconciliation("kraken", SPAN, markets=[compared([candle(0)], [])])
    assert verdict(result).startswith("nothing to compare: kraken gives no klines")
