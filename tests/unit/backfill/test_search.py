"""The search for the last trade before a time, against made-up exchanges that page by id, by time, or badly."""

from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from operator import attrgetter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.trade import Side, Trade
from producers.backfill.search import KnownTrade, TradeSearch
from runtime.errors import UnavailableError

PAGE = 100
SECOND = 1_000_000
START = 1_700_000_000 * SECOND
Page = list[Trade]
Answer = Callable[[KnownTrade], Page]


def trade(number: int, time_us: int) -> Trade:
    price = Decimal(1)
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(number), price=price, qty=price, side=Side.BUY, time_us=time_us
    )


def market(count: int, first_id: int, *, seed: int = 1, bursts: float = 0.01) -> Page:
    """Trades whose rate changes much and often; some ids are left out."""
    random = Random(seed)
    number, time_us, trades = first_id, START, []
    for _ in range(count):
        trades.append(trade(number, time_us))
        number += 1 if random.random() > 0.001 else random.randrange(2, 40)
        time_us += int(random.expovariate(1 / SECOND) * (500 if random.random() < bursts else 1))
    return trades


def by_id(trades: Page, page: int = PAGE) -> Answer:
    ids = [int(each.trade_id) for each in trades]
    return lambda probe: trades[bisect_left(ids, probe.number) :][:page]


def by_time(trades: Page) -> Answer:
    times = [each.time_us for each in trades]
    return lambda probe: trades[bisect_left(times, probe.time_us) :][:PAGE]


def by_window(trades: Page) -> Answer:
    """As exchanges that give the rows below an id: a page holds the next `PAGE` ids, and not the next rows."""
    ids = [int(each.trade_id) for each in trades]
    return lambda probe: trades[bisect_left(ids, probe.number) : bisect_left(ids, probe.number + PAGE)]


def search(trades: Page, time_us: int, answer: Answer, before: KnownTrade | None = None) -> TradeSearch:
    newest = trades[-1]
    searching = TradeSearch(
        time_us, behind=KnownTrade(int(newest.trade_id), newest.time_us), before=before, page_trades=PAGE
    )
    while (probe := searching.next_probe()) is not None:
        searching.take(probe, answer(probe))
    return searching


def last_before(trades: Page, time_us: int) -> KnownTrade | None:
    place = bisect_left(trades, time_us, key=attrgetter("time_us"))
    return KnownTrade(int(trades[place - 1].trade_id), trades[place - 1].time_us) if place else None


MARKET = market(30_000, 5_000_000_000)


@settings(deadline=None)
@given(share=st.floats(0.0001, 0.9999))
def test_by_id_it_ends_at_the_last_trade_before_the_time(share: float) -> None:
    time_us = START + int((MARKET[-1].time_us - START) * share)
    done = search(MARKET, time_us, by_id(MARKET))
    assert done.before == last_before(MARKET, time_us)
    assert done.probes <= 20


@settings(deadline=None)
@given(share=st.floats(0.0001, 0.9999))
def test_by_time_it_ends_within_a_few_pages_before_it(share: float) -> None:
    time_us = START + int((MARKET[-1].time_us - START) * share)
    done = search(MARKET, time_us, by_time(MARKET))
    last = last_before(MARKET, time_us)
    assert done.before is not None
    assert last is not None
    assert last.number - 5 * PAGE < done.before.number <= last.number
    assert done.probes <= 24


def test_ids_that_begin_far_above_zero_are_reached_window_by_window() -> None:
    trades = market(30_000, 800_000)
    for place in (10, 15_000, 29_000):
        time_us = trades[place].time_us
        done = search(trades, time_us, by_window(trades))
        assert done.before == last_before(trades, time_us)
        assert done.probes < 60


@pytest.mark.parametrize("answer", [by_id(MARKET), by_time(MARKET)], ids=["by id", "by time"])
def test_before_all_history_there_is_no_trade_and_the_first_is_known(answer: Answer) -> None:
    done = search(MARKET, START, answer)
    assert done.before is None
    assert done.behind == KnownTrade(int(MARKET[0].trade_id), START)
    assert done.probes == 2


def test_what_the_log_knows_spares_requests() -> None:
    time_us = MARKET[20_000].time_us
    known = MARKET[19_950]
    done = search(MARKET, time_us, by_id(MARKET), KnownTrade(int(known.trade_id), known.time_us))
    assert done.before == last_before(MARKET, time_us)
    assert done.probes == 1


def test_trades_of_one_time_all_lie_behind_it() -> None:
    trades = [trade(number, START + number // 500 * SECOND) for number in range(2_000)]
    done = search(trades, START + 2 * SECOND, by_id(trades))
    assert done.before == KnownTrade(999, START + SECOND)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2_000), st.floats(0, 1), st.integers(1, 20))
def test_short_pages_and_any_market_lead_there(seed: int, count: int, share: float, page: int) -> None:
    trades = market(count, Random(seed).randrange(10**9), seed=seed)
    time_us = START + int((trades[-1].time_us - START) * share)
    random = Random(seed)
    answer = by_id(trades, page)
    done = search(trades, time_us, lambda probe: answer(probe)[: 1 + random.randrange(page)])
    if time_us <= trades[-1].time_us:
        assert done.before == last_before(trades, time_us)


def test_answers_that_lead_nowhere_end_it() -> None:
    trades = market(1_000, 0)
    random = Random(1)
    times = [each.time_us for each in trades]
    random.shuffle(times)
    wild = [trade(number * 10_000, time_us) for number, time_us in enumerate(times)]
    for seconds in range(0, 1_000, 50):
        with suppress(UnavailableError):
            assert search(wild, START + seconds * SECOND, by_id(wild, 1)).probes <= 100
