"""REST's pages of trades where something is amiss, and what is noted of what a client was not given."""

import json
from typing import Any

import pytest

from producers.simulator.archive import Archive, WithheldError
from producers.simulator.fates import Fate
from producers.simulator.faults import FaultPlan, Faults
from producers.simulator.history import GeneratedHistory, Match
from producers.simulator.ids import IdRange
from producers.simulator.instruments import instrument
from producers.simulator.pages import Pages, RowForm
from producers.simulator.protocols.binance_messages import trade_row

START = 29_000_000
NOW_MS = (START + 10) * 60_000 + 12_345


class Market:
    """BTCUSDT, its pages with some faults, and the ids of its last ten minutes."""

    def __init__(self, **faults: float) -> None:
        self.archive = Archive(GeneratedHistory(1, instrument("BTCUSDT")))
        self.plan = FaultPlan(Faults(**faults), 1)
        self.pages = Pages(self.plan, 1)
        self.matches = [*self.archive.between(START * 60_000, NOW_MS + 1)]
        self.ids = [match.trade_id for match in self.matches]

    def rows(self) -> RowForm:
        return RowForm(lambda match: trade_row(self.archive.instrument, match, 1), '"price":"')

    def ids_below(self, below: int, limit: int = 1_000) -> list[int]:
        return [json.loads(row)["id"] for row in self.pages.below_id(self.archive, below, limit, NOW_MS, self.rows())]

    def ids_since(self, since_ms: int, limit: int = 1_000) -> list[int]:
        return [json.loads(row)["id"] for row in self.pages.since(self.archive, since_ms, limit, NOW_MS, self.rows())]

    def page(self, from_id: int, limit: int = 1_000, now_ms: int = NOW_MS) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.pages.from_id(self.archive, from_id, limit, now_ms, self.rows())]

    def page_ids(self, from_id: int, limit: int = 1_000) -> list[int]:
        return [row["id"] for row in self.page(from_id, limit)]

    def noted(self, fate: Fate) -> list[IdRange]:
        return list(self.archive.fates[fate])


def test_without_faults_a_page_has_every_trade_and_nothing_is_noted() -> None:
    market = Market()
    assert market.page_ids(market.ids[5], 300) == market.ids[5:305]
    assert not market.plan.done
    assert not market.noted(Fate.REFUSED)


def test_a_short_history_answers_an_old_id_with_a_page_that_begins_much_later() -> None:
    market = Market(short_history=60)
    first = next(match.trade_id for match in market.matches if match.time_ms >= NOW_MS - 60_000)
    assert market.page_ids(market.ids[5]) == [number for number in market.ids if number >= first]
    assert market.noted(Fate.REFUSED) == [IdRange(market.ids[5], first - 1)]
    assert market.page_ids(first + 3, 2) == [first + 3, first + 4]
    assert market.page_ids(market.ids[-1] + 1) == []
    assert market.noted(Fate.REFUSED) == [IdRange(market.ids[5], first - 1)]


def test_a_short_history_has_the_newest_trade_however_old() -> None:
    market = Market(short_history=0.001)
    assert market.page_ids(market.ids[5]) == [market.ids[-1]]
    assert market.page_ids(market.ids[-1]) == [market.ids[-1]]


def test_what_an_open_connection_carried_is_not_noted_and_what_an_ended_one_did_is() -> None:
    market = Market(short_history=0.001)
    fates, (a, b, c) = market.archive.fates, market.ids[5:8]
    fates.carry("one", a)
    fates.carry("two", b)
    market.page(a)
    assert market.noted(Fate.REFUSED) == [IdRange(c, market.ids[-2])]
    fates.end("two")
    market.page(a)
    assert market.noted(Fate.REFUSED) == [IdRange(b, market.ids[-2])]
    fates.carry("three", c)
    assert market.noted(Fate.REFUSED) == [IdRange(b, b), IdRange(c + 1, market.ids[-2])]


def test_ids_that_rest_lacks_are_left_out_side_by_side_and_noted_as_passed_over() -> None:
    market = Market()
    market.archive.fates.lack(IdRange(market.ids[10], market.ids[12]), 0)
    market.plan.noting = True
    for _ in range(5):
        assert market.page_ids(market.ids[8], 4) == [*market.ids[8:10], *market.ids[13:15]]
    assert market.noted(Fate.PASSED_OVER) == [IdRange(market.ids[10], market.ids[12])]
    assert not market.noted(Fate.REFUSED)
    assert market.page_ids(market.ids[11], 2) == market.ids[13:15]
    assert market.noted(Fate.REFUSED) == [IdRange(market.ids[11], market.ids[12])]


def test_ids_that_rest_lacks_for_a_few_asks_are_given_after_them() -> None:
    market = Market()
    market.archive.fates.lack(IdRange(market.ids[10], market.ids[12]), 2)
    market.plan.noting = True
    assert market.page_ids(market.ids[20], 3) == market.ids[20:23]  # does not reach them
    for _ in range(2):
        assert market.page_ids(market.ids[8], 4) == [*market.ids[8:10], *market.ids[13:15]]
    assert market.page_ids(market.ids[8], 4) == market.ids[8:12]
    assert market.noted(Fate.PASSED_OVER) == [IdRange(market.ids[12], market.ids[12])]


def test_a_jump_is_no_trade_for_anybody() -> None:
    market = Market()
    market.archive.fates.add(Fate.JUMPED, IdRange(market.ids[10], market.ids[12]))
    assert market.page_ids(market.ids[8], 4) == [*market.ids[8:10], *market.ids[13:15]]
    left = [*market.ids[:10], *market.ids[13:]]
    assert [match.trade_id for match in market.archive.between(START * 60_000, NOW_MS + 1)] == left
    assert not list(market.archive.exceptions(START * 60_000, NOW_MS + 1))
    market.archive.fates.note(Fate.REFUSED, market.ids[12], market.ids[12])  # and REST did not show it
    assert list(market.archive.exceptions(START * 60_000, NOW_MS + 1)) == [(market.matches[12], Fate.JUMPED)]


def test_only_a_full_page_ends_early() -> None:
    market = Market(truncated=1)
    assert market.page_ids(market.ids[-10]) == market.ids[-10:]
    short = market.page_ids(market.ids[5], 300)
    assert short == market.ids[5 : 5 + len(short)]
    assert 0 < len(short) < 300


def test_a_page_is_out_of_order_or_repeats_rows_and_lacks_none() -> None:
    mixed = Market(disordered=1)
    ids = mixed.page_ids(mixed.ids[5], 300)
    assert ids != sorted(ids) == mixed.ids[5:305]
    again = Market(repeated=1)
    ids = again.page_ids(again.ids[5], 300)
    assert len(ids) > 300
    assert sorted(set(ids)) == again.ids[5:305]


def test_a_broken_row_cannot_be_read_and_the_next_page_has_it_right() -> None:
    market = Market(broken_row=1)
    rows = market.page(market.ids[5], 300)
    broken = [row["id"] for row in rows if row["price"].startswith("?")]
    assert len(rows) == 300
    assert len(broken) == 1
    assert market.noted(Fate.REFUSED) == [IdRange(broken[0], broken[0])]
    market.plan.change({"broken_row": 0})
    market.page(market.ids[5], 300)
    assert not market.noted(Fate.REFUSED)


def test_a_spoiled_trade_has_price_or_quantity_0_and_is_told_as_an_exception() -> None:
    market = Market()
    market.archive.fates.add(Fate.SPOILED, IdRange(market.ids[10], market.ids[11]))
    zeros = [[float(row[name]) for name in ("price", "qty")].count(0) for row in market.page(market.ids[9], 4)]
    assert zeros == [0, 1, 1, 0]
    carried = [*market.archive.carried(START)]
    assert [match.ticks * match.lots == 0 for match in carried[9:13]] == [False, True, True, False]
    assert list(market.archive.exceptions(START * 60_000, NOW_MS + 1)) == [
        (market.matches[10], Fate.SPOILED),
        (market.matches[11], Fate.SPOILED),
    ]


def test_rest_retells_with_another_price() -> None:
    market = Market()
    market.archive.fates.add(Fate.RETOLD, IdRange(market.ids[10], market.ids[10]))
    rows = market.page(market.ids[9], 2)
    assert [row["price"] for row in rows] == [
        market.archive.instrument.price(match.ticks + more)
        for match, more in zip(market.matches[9:11], (0, 1), strict=True)
    ]
    assert market.archive.carried(START)[10] == market.matches[10]


def test_a_withheld_id_fails_a_look_up_that_has_but_one_row_before_it() -> None:
    market = Market()
    market.archive.fates.add(Fate.WITHHELD, IdRange(market.ids[10], market.ids[12]))
    assert market.page_ids(market.ids[8], 1) == [market.ids[8]]
    assert market.page_ids(market.ids[8]) == market.ids[8:10]
    with pytest.raises(WithheldError):
        market.page_ids(market.ids[9])


def test_after_a_reset_ids_are_half_and_older_ones_cannot_be_asked_for() -> None:
    market, moment = Market(), NOW_MS - 120_000
    archive, before = market.archive, market.ids
    reset = archive.reset(moment)
    assert reset
    after: list[Match] = [*archive.between(START * 60_000, NOW_MS + 1)]
    at = next(number for number, match in enumerate(after) if match.trade_id != before[number])
    assert after[at - 1].time_ms <= moment < after[at].time_ms
    half = before[at - 1] // 2
    assert [match.trade_id for match in after[at:]] == [*range(half + 1, half + 1 + len(after) - at)]
    first = after[at].trade_id
    assert [row["id"] for row in market.page(before[3], 5, moment)] == before[3:8]
    assert market.page_ids(before[3]) == []
    assert market.page_ids(first - 1_000, 3) == market.page_ids(first, 3) == [first, first + 1, first + 2]
    assert list(archive.exceptions(START * 60_000, NOW_MS + 1)) == [(after[at], Fate.RESET)]
    again = archive.reset(NOW_MS)
    assert again
    assert again.first - again.less == after[-1].trade_id // 2 + 1


def test_a_page_below_an_id_has_those_right_before_it_and_no_future() -> None:
    market = Market()
    ids = market.ids
    assert market.ids_below(ids[300], 200) == ids[100:300]
    assert market.ids_below(ids[-1] + 1, 5) == ids[-5:]
    assert market.ids_below(ids[-1] + 4, 5) == ids[-5:]
    assert len(market.ids_below(ids[0], 1_000)) == 1_000
    assert market.ids_below(1) == []


def test_a_page_below_an_id_looks_down_to_a_withheld_one() -> None:
    market = Market()
    ids = market.ids
    market.archive.fates.add(Fate.WITHHELD, IdRange(ids[10], ids[12]))
    assert market.ids_below(ids[20]) == ids[13:20]
    assert market.ids_below(ids[10], 5) == ids[5:10]
    for below in (ids[12], ids[14]):
        with pytest.raises(WithheldError):
            market.ids_below(below)


def test_a_page_below_an_id_reaches_back_over_ids_that_are_jumped_or_lacking() -> None:
    market = Market()
    ids = market.ids
    market.archive.fates.add(Fate.JUMPED, IdRange(ids[10], ids[12]))
    market.archive.fates.lack(IdRange(ids[14], ids[14]), 0)
    market.plan.noting = True
    assert market.ids_below(ids[16], 4) == [ids[8], ids[9], ids[13], ids[15]]
    assert IdRange(ids[14], ids[14]) in market.noted(Fate.PASSED_OVER)


def test_what_a_short_history_refuses_below_an_id_is_noted_and_no_more_than_was_asked_for() -> None:
    market = Market(short_history=60)
    ids = market.ids
    first = next(match.trade_id for match in market.matches if match.time_ms >= NOW_MS - 60_000)
    assert market.ids_below(first + 10, 30) == list(range(first, first + 10))
    assert market.noted(Fate.REFUSED) == [IdRange(first - 20, first - 1)]
    assert market.ids_below(ids[50], 20) == []
    assert market.noted(Fate.REFUSED) == [IdRange(ids[30], ids[49]), IdRange(first - 20, first - 1)]
    early = Market(truncated=1, short_history=3_600)
    page = early.ids_below(ids[300], 200)
    assert page == ids[300 - len(page) : 300]
    assert 0 < len(page) < 200
    assert not early.noted(Fate.REFUSED)


def test_after_a_reset_there_is_nothing_below_the_first_new_id() -> None:
    market = Market()
    reset = market.archive.reset(NOW_MS - 120_000)
    assert reset
    first, newest = reset.first - reset.less, market.archive.newest(1, NOW_MS)[0].trade_id
    assert market.ids_below(newest + 1) == list(range(max(first, newest - 999), newest + 1))
    assert market.ids_below(first + 3) == [first, first + 1, first + 2]
    assert market.ids_below(first) == []


def test_a_page_by_time_begins_at_it_and_a_short_history_refuses_what_is_before() -> None:
    market = Market()
    ids, times_ms = market.ids, [match.time_ms for match in market.matches]
    index = next(at for at in range(50, 500) if times_ms[at] != times_ms[at - 1])
    assert market.ids_since(times_ms[index], 40) == ids[index : index + 40]
    assert market.ids_since(times_ms[index - 1] + 1, 40) == ids[index : index + 40]
    assert market.ids_since(NOW_MS + 1) == []
    assert len(market.ids_since(0, 10)) == 10
    short = Market(short_history=60)
    first = next(match.trade_id for match in short.matches if match.time_ms >= NOW_MS - 60_000)
    assert short.ids_since(times_ms[index])[0] == first
    assert short.noted(Fate.REFUSED) == [IdRange(ids[index], first - 1)]
    assert Market(short_history=0.001).ids_since(times_ms[index]) == ids[-1:]


def test_a_page_between_two_ids_has_the_newest_of_them() -> None:
    market = Market()
    ids = market.ids
    bounds = [((ids[-6], None), ids[-5:]), ((ids[100], ids[110]), ids[101:110]), ((None, None), ids[-300:])]
    for (above, below), there in bounds:
        page = market.pages.newest_between(market.archive, (above, below), 300, NOW_MS, market.rows())
        assert [json.loads(row)["id"] for row in page] == there


def test_caches_lack_what_happened_in_the_last_third_or_more_of_their_lag() -> None:
    market, seen = Market(rest_lag_s=60), set()
    times_ms = {match.trade_id: match.time_ms for match in market.matches}
    last_page = market.ids[-900]
    for _ in range(20):
        newest = [market.page_ids(last_page)[-1], market.ids_below(market.ids[-1] + 1)[-1]]
        newest.append(market.ids_since(NOW_MS - 90_000)[-1])
        assert all(NOW_MS - 61_000 < times_ms[number] <= NOW_MS - 20_000 for number in newest)
        seen.update(newest)
    assert len(seen) > 5, "the caches differ"
