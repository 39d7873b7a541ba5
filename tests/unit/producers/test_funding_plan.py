"""When funding rates are asked for, and which of them are published."""

from decimal import Decimal
from typing import Any

import pytest

from market.funding import FundingKind, FundingRate
from market.timeframe import HOUR_MS
from producers.feed.funding_plan import ASK_AGAIN_MS, SETTLED_WITHIN_MS, FundingAsk, FundingPlan

MIDNIGHT = 1_704_067_200_000
DAY_MS = 24 * HOUR_MS


def settled(time_ms: int, told: str = "0.0001") -> FundingRate:
    return FundingRate(exchange="okx", symbol="BTC-USDT-PERP", time_ms=time_ms, rate=Decimal(told))


def expected(time_ms: int, told: str = "0.0001", **fields: Any) -> dict[str, FundingRate]:
    rate = FundingRate(
        exchange="okx", symbol="BTC-USDT-PERP", time_ms=time_ms, rate=Decimal(told), kind=FundingKind.EXPECTED, **fields
    )
    return {"BTC": rate}


class World:
    """An exchange that settles every 8 hours, some time after the hour, and a plan that follows it."""

    def __init__(self, *, newest_ms: int, page_rates: int = 100, delay_ms: int = 20_000) -> None:
        self.plan = FundingPlan(page_rates)
        self.plan.follow({"BTC": newest_ms})
        self.page_rates = page_rates
        self.delay_ms = delay_ms
        self.published: list[int] = []
        self.asks: list[tuple[int, FundingAsk]] = []

    def run(self, from_ms: int, until_ms: int, step_ms: int = 1_000) -> None:
        for now_ms in range(from_ms, until_ms, step_ms):
            ask = self.plan.next_ask(now_ms)
            if ask is None:
                continue
            self.asks.append((now_ms, ask))
            first = -(-ask.from_ms // (8 * HOUR_MS)) * 8 * HOUR_MS
            times = [t for t in range(first, ask.until_ms, 8 * HOUR_MS) if t + self.delay_ms <= now_ms]
            assert len(times) <= self.page_rates
            new = self.plan.new(ask, map(settled, times))
            self.published += [rate.time_ms for rate in new]
            self.plan.published(ask, new, now_ms + 300)  # an answer takes its time


def test_history_is_asked_for_in_spans_that_fit_an_answer_and_nothing_is_left_out() -> None:
    world = World(newest_ms=MIDNIGHT - 30 * DAY_MS)
    world.run(MIDNIGHT + 60_000, MIDNIGHT + 90_000)
    assert world.published == list(range(MIDNIGHT - 30 * DAY_MS + 8 * HOUR_MS, MIDNIGHT + 1, 8 * HOUR_MS))
    assert len(world.asks) == -(-30 * 24 // 100), "and then no more before the next hour"
    assert all(ask.until_ms - ask.from_ms <= 100 * HOUR_MS for _, ask in world.asks)


def test_a_day_is_asked_for_once_an_hour_and_each_rate_is_published_once_soon_after_it_is_paid() -> None:
    world = World(newest_ms=MIDNIGHT)
    world.run(MIDNIGHT + 5 * 60_000, MIDNIGHT + DAY_MS + 5 * 60_000)
    assert world.published == [MIDNIGHT + hours * HOUR_MS for hours in (8, 16, 24)]
    assert len(world.asks) == 25
    assert {now_ms % HOUR_MS for now_ms, _ in world.asks[1:]} == {SETTLED_WITHIN_MS}


def test_a_rate_that_is_late_is_asked_for_again_every_five_minutes_but_not_for_ever() -> None:
    world = World(newest_ms=MIDNIGHT, delay_ms=12 * 60_000)
    world.plan.published_expected(expected(MIDNIGHT + 8 * HOUR_MS))
    world.run(MIDNIGHT + 7 * HOUR_MS + 120_000, MIDNIGHT + 8 * HOUR_MS + 30 * 60_000)
    after = [now_ms - MIDNIGHT - 8 * HOUR_MS for now_ms, _ in world.asks if now_ms >= MIDNIGHT + 8 * HOUR_MS]
    late_ms = [asked_ms - SETTLED_WITHIN_MS - n * ASK_AGAIN_MS for n, asked_ms in enumerate(after)]
    assert len(after) == 4
    assert all(0 <= late < 5_000 for late in late_ms)
    assert world.published == [MIDNIGHT + 8 * HOUR_MS]
    never = World(newest_ms=MIDNIGHT, delay_ms=DAY_MS)
    never.plan.published_expected(expected(MIDNIGHT + 8 * HOUR_MS))
    never.run(MIDNIGHT + 8 * HOUR_MS, MIDNIGHT + 20 * HOUR_MS)
    assert len(never.asks) <= 13 + 12


def test_a_time_between_hours_that_is_known_is_asked_for_right_after_it() -> None:
    world = World(newest_ms=MIDNIGHT)
    now_ms = MIDNIGHT + 5 * 60_000
    world.run(now_ms, now_ms + 1)
    next_ms = MIDNIGHT + 30 * 60_000
    assert world.plan.new_expected(expected(next_ms), now_ms)
    assert world.plan.next_ask(next_ms + SETTLED_WITHIN_MS - 1) is None
    assert world.plan.next_ask(next_ms + SETTLED_WITHIN_MS) is not None


def test_an_answer_that_repeats_what_is_published_publishes_nothing() -> None:
    plan = FundingPlan(100)
    plan.follow({"BTC": MIDNIGHT})
    ask = plan.next_ask(MIDNIGHT + HOUR_MS)
    assert ask is not None
    assert plan.new(ask, [settled(MIDNIGHT - HOUR_MS), settled(MIDNIGHT)]) == []
    assert plan.new(ask, [settled(MIDNIGHT), settled(MIDNIGHT + HOUR_MS)]) == [settled(MIDNIGHT + HOUR_MS)]


def test_one_that_fails_waits_while_others_are_asked_for() -> None:
    plan = FundingPlan(100)
    plan.follow({"BTC": MIDNIGHT, "ETH": MIDNIGHT})
    now_ms = MIDNIGHT + HOUR_MS
    first = plan.next_ask(now_ms)
    assert first is not None
    plan.failed(first, now_ms)
    second = plan.next_ask(now_ms)
    assert second is not None
    assert {first.native, second.native} == {"BTC", "ETH"}
    plan.published(second, [], now_ms)
    assert plan.next_ask(now_ms + ASK_AGAIN_MS - 1) is None
    again = plan.next_ask(now_ms + ASK_AGAIN_MS)
    assert again is not None
    assert (again.native, again.from_ms) == (first.native, first.from_ms)


@pytest.mark.parametrize(
    ("rates", "is_new"),
    [
        (expected(MIDNIGHT + 8 * HOUR_MS), False),
        (expected(MIDNIGHT + 8 * HOUR_MS, mark_price=Decimal(7)), False),
        (expected(MIDNIGHT + 8 * HOUR_MS, "0.0002"), True),
        (expected(MIDNIGHT + 4 * HOUR_MS), True),
        (expected(MIDNIGHT), False),
        ({"ETH": settled(MIDNIGHT + 8 * HOUR_MS)}, False),
    ],
    ids=["the same", "another mark price", "another rate", "another time", "settled since", "not followed"],
)
def test_what_is_expected_is_published_when_it_changes(rates: dict[str, FundingRate], is_new: bool) -> None:  # noqa: FBT001  # a case of the table
    plan = FundingPlan(100)
    plan.follow({"BTC": MIDNIGHT})
    first = expected(MIDNIGHT + 8 * HOUR_MS)
    assert plan.new_expected(first, MIDNIGHT + HOUR_MS) == list(first.values())
    plan.published_expected(first)
    assert bool(plan.new_expected(rates, MIDNIGHT + HOUR_MS)) is is_new


def test_what_is_followed_no_more_is_not_asked_for() -> None:
    plan = FundingPlan(100)
    plan.follow({"BTC": MIDNIGHT})
    plan.retain([])
    assert "BTC" not in plan
    assert plan.next_ask(MIDNIGHT + DAY_MS) is None
