"""What may be demanded where the source was wrong, on markets worked out by hand."""

from collections.abc import Iterable

import pytest

from candlewick.verify.demands import Demands, Exemption, ExemptionKind, connected_demands, demands
from candlewick.verify.expected import ANY_STATUS, LESS_THAN_COMPLETE, MINUTE_US, Sent, SpanUs, expected_candles

T0 = 1_700_000_040_000_000  # a whole minute
SPAN = SpanUs(T0, T0 + 6 * MINUTE_US)
LESS, ANY = LESS_THAN_COMPLETE, ANY_STATUS


def sent(trade_id: int, minute: float, price: str = "5") -> Sent:
    return Sent(str(trade_id), price, "1", "buy", T0 + int(minute * MINUTE_US), trade_id)


# One trade in each of six minutes, and two in the third.
MARKET = [sent(1, 0.5), sent(2, 1.5), sent(3, 2.1), sent(4, 2.9), sent(5, 3.5), sent(6, 4.5), sent(7, 5.5)]


def texts(*numbers: int) -> set[str]:
    return set(map(str, numbers))


def demanded(fates: dict[int, str], logged: set[int], forgotten: Iterable[int] = ()) -> Demands:
    """What is demanded where ids of `MARKET` have fates; those that nobody gives are not in the record."""
    never = {number for number, why in fates.items() if why in ("withheld", "spoiled", "jumped")}
    record = [trade for trade in MARKET if trade.number not in never]
    exemptions = [
        Exemption(trade, ExemptionKind(word)) for trade in MARKET for word in fates.get(trade.number, "").split()
    ]
    return demands(SPAN, record, exemptions, logged=texts(*logged), forgotten=texts(*forgotten))


def statuses(what: Demands) -> list[tuple[str, ...]]:
    record = [trade for trade in MARKET if trade.trade_id not in what.absent]
    candles = expected_candles("binance:BTC-USDT", SPAN, record, last_price="5", statuses=what.statuses)
    return [candle["status"] for candle in candles]


COMPLETE = ("complete",)


def test_nothing_amiss_demands_complete() -> None:
    assert statuses(demanded({}, {1, 2, 3, 4, 5, 6, 7})) == [COMPLETE] * 6


@pytest.mark.parametrize("fate", ["withheld", "spoiled", "refused"])
def test_a_lost_trades_minute_is_less_than_complete_and_its_neighbours_may_be(fate: str) -> None:
    what = demanded({5: fate}, {1, 2, 3, 4, 6, 7})
    assert statuses(what) == [COMPLETE, COMPLETE, ANY, LESS, ANY, COMPLETE]
    assert what.absent == texts(5)
    assert (what.lost_in(SPAN), what.lost_minutes(SPAN)) == (1, [T0 + 3 * MINUTE_US])
    assert what.lost_in(SpanUs(T0, T0 + 3 * MINUTE_US)) == 0


def test_lost_trades_side_by_side_reach_from_the_given_one_before_to_the_one_behind() -> None:
    assert statuses(demanded({3: "refused", 4: "refused"}, {1, 2, 5, 6, 7})) == [
        COMPLETE, ANY, LESS, ANY, COMPLETE, COMPLETE,
    ]  # fmt: skip


def test_a_refused_trade_that_the_log_has_is_not_lost_and_its_minute_is_complete() -> None:
    what = demanded({3: "refused"}, {1, 2, 3, 4, 5, 6, 7})
    assert (what.absent, what.lost) == (frozenset(), ())
    assert statuses(what) == [COMPLETE] * 6


def test_a_quiet_time_behind_a_known_trade_that_rest_refused_to_show_may_say_less() -> None:
    market = [sent(1, 0.5), sent(2, 1.5), sent(3, 4.5), sent(4, 5.1), sent(5, 5.5)]
    refused = [Exemption(market[1], ExemptionKind.REFUSED), Exemption(market[3], ExemptionKind.REFUSED)]
    what = demands(SPAN, market, refused, logged=texts(1, 2, 3, 4, 5))
    assert (what.absent, what.lost) == (frozenset(), ())
    assert sorted(what.statuses) == [T0 + minute * MINUTE_US for minute in (1, 2, 3, 4)]


def test_what_a_feed_that_began_again_could_not_know_may_say_less() -> None:
    what = demanded({5: "refused"}, {1, 2, 3, 4, 5, 6, 7}, forgotten={5, 6})
    assert (what.absent, what.lost) == (frozenset(), ())
    assert statuses(what) == [COMPLETE, COMPLETE, ANY, ANY, ANY, COMPLETE]


def test_ids_that_are_no_trades_and_that_rest_refused_to_show_are_not_lost_and_leave_doubt() -> None:
    what = demanded({5: "jumped"}, {1, 2, 3, 4, 6, 7})
    assert what.lost == ()
    assert statuses(what) == [COMPLETE, COMPLETE, ANY, ANY, ANY, COMPLETE]


def test_ids_that_are_no_trades_stand_before_the_trades_of_their_time_that_have_greater_ids() -> None:
    market = [sent(1, 0.5), sent(2, 4.5), sent(3, 4.5), sent(4, 5.5)]
    what = demands(SPAN, [market[0], *market[2:]], [Exemption(market[1], ExemptionKind.JUMPED)], logged=texts(1, 3, 4))
    assert sorted(what.statuses) == [T0 + minute * MINUTE_US for minute in range(5)]


def test_the_exchanges_own_word_is_believed_and_its_minute_is_complete() -> None:
    what = demanded({5: "passed_over"}, {1, 2, 3, 4, 6, 7})
    assert (what.absent, what.lost) == (texts(5), ())
    assert statuses(what) == [COMPLETE] * 6
    assert demanded({5: "passed_over"}, {1, 2, 3, 4, 5, 6, 7}).absent == frozenset()


def test_a_trade_that_nobody_gives_is_absent_whatever_the_log_says() -> None:
    assert demanded({5: "spoiled"}, {1, 2, 3, 4, 5, 6, 7}).absent == texts(5)


def test_what_was_passed_over_beside_lost_trades_bounds_nothing() -> None:
    what = demanded({4: "passed_over", 5: "refused", 6: "passed_over"}, {1, 2, 3, 7})
    assert statuses(what) == [COMPLETE, COMPLETE, ANY, LESS, ANY, ANY]
    assert min(
        minute for minute in demanded({3: "passed_over", 4: "passed_over", 5: "refused"}, {1, 2, 6, 7}).statuses
    ) == (T0 + MINUTE_US)


def test_what_was_passed_over_before_it_was_refused_may_be_taken_either_way() -> None:
    what = demanded({5: "passed_over refused"}, {1, 2, 3, 4, 6, 7})
    assert (what.absent, what.lost) == (texts(5), ())
    assert statuses(what) == [COMPLETE, COMPLETE, ANY, ANY, ANY, COMPLETE]


def test_without_a_given_trade_behind_them_nothing_is_proved_to_the_end() -> None:
    assert statuses(demanded({5: "refused", 6: "refused", 7: "refused"}, {1, 2, 3, 4, 5})) == [
        COMPLETE, COMPLETE, COMPLETE, ANY, LESS, LESS,
    ]  # fmt: skip


def test_withheld_trades_that_no_later_id_shows_yet_cannot_be_known() -> None:
    what = demanded({6: "withheld", 7: "withheld"}, {1, 2, 3, 4, 5})
    assert statuses(what) == [COMPLETE, COMPLETE, COMPLETE, ANY, ANY, ANY]
    assert (what.absent, what.lost) == (texts(6, 7), ())


def test_a_reset_costs_what_the_log_lacks_before_it_and_right_behind_it() -> None:
    hour = 60
    market = [
        sent(100, 0.5), sent(101, 1.5), sent(102, hour - 1.5), sent(103, hour + 0.5),  # the log has 101 and 103
        sent(50, hour + 1.5), sent(51, hour + 2.5), sent(52, hour + 3.5), sent(53, hour + 4.5),  # and 52
    ]  # fmt: skip
    what = demands(
        SpanUs(T0, T0 + 2 * hour * MINUTE_US),
        market,
        [Exemption(market[4], ExemptionKind.RESET)],
        logged=texts(101, 103, 52),
    )
    assert [trade.number for trade in what.lost] == [102, 50, 51]
    assert what.absent == texts(102, 50, 51)
    less = [minute for minute, allowed in sorted(what.statuses.items()) if allowed == LESS]
    assert less == [T0 + minute * MINUTE_US for minute in (hour - 2, hour + 1, hour + 2)]
    assert min(what.statuses) == T0 + 1 * MINUTE_US  # the last trade before those that are lost
    assert max(what.statuses) == T0 + (hour + 12) * MINUTE_US


def test_a_reset_that_cost_nothing_makes_only_the_minutes_around_it_doubtful() -> None:
    market = [sent(100, 0.5), sent(101, 30.5), sent(50, 31.5), sent(51, 60.5)]
    what = demands(
        SpanUs(T0, T0 + 70 * MINUTE_US),
        market,
        [Exemption(market[2], ExemptionKind.RESET)],
        logged=texts(100, 101, 50, 51),
    )
    assert (what.lost, what.absent) == ((), frozenset())
    assert sorted(what.statuses) == [T0 + minute * MINUTE_US for minute in range(21, 42)]


def test_other_contents_are_kept_by_id() -> None:
    other = sent(5, 3.5, "6")
    assert demands(SPAN, MARKET, [Exemption(other, ExemptionKind.RETOLD)], logged=set()).retold == {"5": other}


SAID = {T0: "connected", T0 + MINUTE_US: "hole", T0 + 2 * MINUTE_US: "kline"}
CONNECTED_ANY = ("connected", "kline", "hole")


def test_where_ids_are_texts_nothing_may_be_missing_of_an_undisturbed_run() -> None:
    what = connected_demands(MARKET, [], logged=set(), said=SAID, disturbed=False)
    assert what == Demands()


def test_where_ids_are_texts_a_minute_that_says_less_may_lack_trades_and_no_other() -> None:
    what = connected_demands(MARKET[:4], [], logged=texts(4), said=SAID, disturbed=True)
    assert (what.absent, [trade.number for trade in what.lost]) == (texts(2, 3), [2, 3])
    assert what.statuses == {
        T0: CONNECTED_ANY,
        T0 + MINUTE_US: CONNECTED_ANY[1:],
        T0 + 2 * MINUTE_US: CONNECTED_ANY[1:],
    }


def test_where_ids_are_texts_what_was_told_twice_is_known_too() -> None:
    exemptions = [Exemption(MARKET[0], ExemptionKind.RETOLD), Exemption(MARKET[1], ExemptionKind.WITHHELD)]
    what = connected_demands(MARKET[:1], exemptions, logged=texts(1), said=SAID, disturbed=True)
    assert (what.retold, what.absent) == ({"1": MARKET[0]}, frozenset())
