"""Look-ups by id and time, holes, klines, weights and market time."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.archive import Archive, WithheldError
from producers.simulator.clock import SimulatedClock
from producers.simulator.fates import Fate
from producers.simulator.history import GeneratedHistory, Match
from producers.simulator.ids import IdRange
from producers.simulator.instruments import instrument
from producers.simulator.klines import Kline
from producers.simulator.limits import RequestLimit, WeightMeter
from producers.simulator.protocols.binance_messages import kline_row

START = 29_000_000
NOW_MS = (START + 30) * 60_000 + 12_345
quick = settings(max_examples=12, deadline=None, database=None)


def archive(symbol: str = "BTCUSDT") -> Archive:
    return Archive(GeneratedHistory(1, instrument(symbol)))


def all_until(known: Archive, now_ms: int) -> list[Match]:
    return [
        match
        for minute in range(START, START + 31)
        for match in known.history.minute(minute)
        if match.time_ms <= now_ms
    ]


@quick
@given(st.sampled_from(["BTCUSDT", "SANDUSDT", "XRPETH"]), st.integers(30, 1_000), st.floats(0, 1))
def test_pages_by_id_join_to_the_whole_and_end_with_now(symbol: str, limit: int, share: float) -> None:
    known = archive(symbol)
    expected = all_until(known, NOW_MS)
    first = expected[int(share * (len(expected) - 1))].trade_id
    found: list[Match] = []
    while page := known.matches_from(found[-1].trade_id + 1 if found else first, limit, NOW_MS):
        assert len(page) <= limit
        found += page
    assert found == [match for match in expected if match.trade_id >= first]
    assert known.newest(limit, NOW_MS) == (
        expected[-limit:] if limit <= len(expected) else known.newest(limit, NOW_MS)[: limit - len(expected)] + expected
    )


@quick
@given(st.sampled_from(["BTCUSDT", "SANDUSDT"]), st.integers(30, 1_000), st.floats(0, 1))
def test_aggregates_add_up_to_their_trades(symbol: str, limit: int, share: float) -> None:
    known = archive(symbol)
    matches = all_until(known, NOW_MS)
    first = matches[int(share * (len(matches) - 1))].aggregate_id
    found = known.aggregates_from(first, limit, NOW_MS)
    assert [row.aggregate_id for row in found] == list(range(first, first + len(found)))
    assert len(found) == min(limit, matches[-1].aggregate_id - first + 1)
    for row in found[:50]:
        fills = [match for match in matches if row.first_id <= match.trade_id <= row.last_id]
        assert {match.aggregate_id for match in fills} <= {row.aggregate_id}
        assert row.lots == sum(match.lots for match in fills)
    by_time = known.aggregates_between(found[0].time_ms, NOW_MS, limit)
    assert by_time[0].time_ms == found[0].time_ms
    assert known.newest_aggregates(3, NOW_MS)[-1].last_id == matches[-1].trade_id


def test_a_look_up_ends_before_a_withheld_id_and_one_that_begins_with_it_fails() -> None:
    known = archive()
    ids = [match.trade_id for match in all_until(known, NOW_MS)]
    known.fates.add(Fate.WITHHELD, IdRange(ids[10], ids[12]))
    assert [match.trade_id for match in known.matches_from(ids[5], 100, NOW_MS)] == ids[5:10]
    for withheld in ids[10:13]:
        with pytest.raises(WithheldError):
            known.matches_from(withheld, 100, NOW_MS)
    assert [match.trade_id for match in known.matches_from(ids[13], 3, NOW_MS)] == ids[13:16]
    known.fates.add(Fate.WITHHELD, IdRange(ids[-5], ids[-5]))
    assert [match.trade_id for match in known.newest(100, NOW_MS)] == ids[-4:]
    assert known.next_ids(3, NOW_MS) == IdRange(ids[-1] + 1, ids[-1] + 3)


@quick
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**12), st.booleans()), max_size=40))
def test_a_kline_equals_its_trades_summed_as_fractions(rows: list[tuple[int, int, bool]]) -> None:
    market = instrument("BTCUSDT")
    kline = Kline(0, 60_000, 77)
    kline.add(Match(7 + at, ticks, lots, at, maker, at) for at, (ticks, lots, maker) in enumerate(rows))
    row = kline_row(market, kline, 1)
    trades = [(Fraction(ticks, 100), Fraction(lots, 100_000), maker) for ticks, lots, maker in rows]
    prices = [price for price, _, _ in trades] or [Fraction(77, 100)]
    bought = [(price, qty) for price, qty, buyer_is_maker in trades if not buyer_is_maker]
    assert [Fraction(str(value)) for value in row] == [
        0, prices[0], max(prices), min(prices), prices[-1], sum(qty for _, qty, _ in trades), 59_999,
        sum(price * qty for price, qty, _ in trades), len(rows), sum(qty for _, qty in bought),
        sum(price * qty for price, qty in bought), 0,
    ]  # fmt: skip
    assert (kline.first_id, kline.last_id) == ((7, 6 + len(rows)) if rows else (-1, -1))


def test_weights_add_up_to_429_then_to_418_and_a_new_minute_begins_at_nothing() -> None:
    meter = WeightMeter(RequestLimit(6_000, 60, bans=True))
    assert [meter.charge("a", 25, 600.0).status for _ in range(240)] == [200] * 240
    refused = meter.charge("a", 25, 615.0)
    assert (refused.status, refused.used, refused.retry_after_s) == (429, 6_025, 45)
    assert meter.charge("b", 25, 615.0) == (200, 25, 0)
    assert meter.charge("a", 25, 660.0) == (200, 25, 0)
    statuses = [meter.charge("a", 6_000, 661.0).status for _ in range(12)]
    assert statuses == [429] * 10 + [418] * 2
    assert meter.charge("a", 1, 720.0).status == 418
    assert meter.charge("a", 1, 782.0).status == 200


@given(st.integers(0, 10**9), st.floats(1, 1_000), st.integers(0, 10**9), st.integers(0, 10**7))
def test_market_time_runs_at_its_speed_and_never_ahead_of_the_wall(
    past: int, speed: float, elapsed: int, more: int
) -> None:
    clock = SimulatedClock(start_us=10**15 - past, wall_start_us=10**15, speed=speed)
    now = clock.market_us(10**15 + elapsed)
    assert now <= 10**15 + elapsed
    assert now in {10**15 + elapsed, 10**15 - past + int(elapsed * speed)}
    assert clock.market_us(10**15 + elapsed + more) >= now
