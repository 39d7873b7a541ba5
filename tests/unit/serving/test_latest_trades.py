"""The latest trades out of hot and warm."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.trade import Side, Trade
from serving.planner import Tier
from serving.trades import latest, tier_to_ask, trade_coverage


def trade(number: int, trade_id: str | None = None) -> Trade:
    return Trade(
        exchange="binance", symbol="BTC-USDT", trade_id=trade_id or str(number), price=Decimal(1), qty=Decimal(1),
        side=Side.BUY, time_us=1_000 * (number // 2),
    )  # fmt: skip


def of(*numbers: int) -> list[Trade]:
    return [trade(number) for number in numbers]


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({}, Tier.HOT),
        ({Tier.HOT: of(3, 2)}, None),
        ({Tier.HOT: of(3)}, Tier.WARM),
        ({Tier.HOT: None}, Tier.WARM),
        ({Tier.HOT: None, Tier.WARM: None}, None),
    ],
)
def test_warm_is_asked_where_hot_has_too_few(answers: dict[Tier, Sequence[Trade] | None], asked: Tier | None) -> None:
    assert tier_to_ask(answers, 2) is asked


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(1, 20))
def test_each_id_once_newest_first_from_the_nearest_tier(hot: set[int], warm: set[int], limit: int) -> None:
    found = latest({Tier.HOT: of(*hot), Tier.WARM: of(*warm)}, limit)
    assert [int(one.trade.trade_id) for one in found] == sorted(hot | warm, reverse=True)[:limit]
    assert all((one.tier is Tier.HOT) == (int(one.trade.trade_id) in hot) for one in found)


def test_coverage_tells_the_ids_as_ranges() -> None:
    covered = trade_coverage(latest({Tier.HOT: of(9, 7, 6), Tier.WARM: of(5)}, 10))
    assert covered is not None
    assert (covered.from_us, covered.until_us, covered.id_ranges) == (2_000, 4_001, [(5, 7), (9, 9)])


def test_ids_that_are_no_numbers_have_no_ranges() -> None:
    covered = trade_coverage(latest({Tier.HOT: [trade(1, "a-b")]}, 10))
    assert covered is not None
    assert covered.id_ranges is None


def test_without_trades_there_is_no_coverage() -> None:
    assert trade_coverage([]) is None
