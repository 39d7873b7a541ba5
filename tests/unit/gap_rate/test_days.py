"""Gaps and holes by day, what became of each hole, and the gap rate."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlewick.gap_rate import published as published_module
from candlewick.gap_rate.days import (
    MAX_CHECKED,
    DayCounts,
    EndedHole,
    HoleEnd,
    count_days,
    ended_holes,
    hole_minutes,
    watched_minutes,
)
from candlewick.gap_rate.incidents import LostRange, MarketIncidents
from candlewick.gap_rate.published import MinuteState, PublishedTrades, without
from candlewick.gap_rate.report import HEADINGS, GapReport, as_json, hole_rows, notes, rate_text, table_rows
from market.candle import Candle, Status
from market.feed import FeedEvent, FeedEventKind
from market.ids import IdRanges
from runtime.errors import UsageError

KEY = "binance:BTC-USDT"
DAY = 18_635  # 2021-01-08
T0_MS = DAY * 86_400_000
T0_US = T0_MS * 1000
S, M = 1_000_000, 60_000_000


def event(kind: FeedEventKind, ids: tuple[int, int] | None, from_us: int, until_us: int) -> FeedEvent:
    first, last = (None, None) if ids is None else map(str, ids)
    return FeedEvent(
        exchange="binance", symbol="BTC-USDT", event=kind, at_ms=until_us // 1000 + 60_000,
        first_id=first, last_id=last, from_us=from_us, until_us=until_us, reason="not filled in time",
    )  # fmt: skip


def hole(ids: tuple[int, int] | None, from_us: int, until_us: int) -> FeedEvent:
    return event(FeedEventKind.HOLE, ids, from_us, until_us)


def candle(minute: int, first: int | None, last: int | None, **changes: Any) -> Candle:
    trades = 0 if first is None or last is None else last - first + 1
    fields = {
        "exchange": "binance", "symbol": "BTC-USDT", "timeframe": "1m", "open_time_ms": T0_MS + minute * 60_000,
        "close_time_ms": T0_MS + minute * 60_000 + 59_999, "trades": trades, "revision": 7, "status": Status.COMPLETE,
        "first_trade_id": None if first is None else str(first), "last_trade_id": None if last is None else str(last),
        **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), Decimal(1)),
        **dict.fromkeys(("taker_buy_volume", "taker_buy_quote_volume"), Decimal(1)),
    }  # fmt: skip
    return Candle(**(fields | changes))


def counted(
    *events: FeedEvent, candles: tuple[Candle, ...] = (), of_run: bool = False, appended_ms: int = 0
) -> tuple[list[EndedHole], dict[int, DayCounts]]:
    market = MarketIncidents()
    for each in events:
        market.take(each)
    incidents = {KEY: market}
    trades = PublishedTrades(watched_minutes(incidents))
    for each in candles:
        trades.take(each, is_of_run=of_run, appended_ms=appended_ms)
    ended = ended_holes(incidents, trades)
    return ended, {day: counts for (day, _), counts in count_days(incidents, ended, trades, first_day=0).items()}


def test_a_day_of_a_market_by_hand() -> None:
    lost = hole((15, 19), T0_US + 3 * M, T0_US + 3 * M + 2 * S)
    _, days = counted(
        event(FeedEventKind.DISCONNECTED, None, T0_US, T0_US),
        event(FeedEventKind.GAP_OPENED, (10, 19), T0_US + 3 * M, T0_US + 3 * M + 2 * S),
        lost,
        event(FeedEventKind.GAP_OPENED, (30, 32), T0_US + 5 * M, T0_US + 5 * M),
        event(FeedEventKind.GAP_FILLED, (30, 32), T0_US + 5 * M, T0_US + 5 * M),
        event(FeedEventKind.GAP_OPENED, (50, 50), T0_US + 6 * M, T0_US + 6 * M),
        candles=(candle(3, 1, 14), candle(5, 20, 1005)),
    )
    assert days == {
        DAY: DayCounts(
            disconnects=1, gaps=3, missing=14, gaps_filled=1, filled=8, gaps_in_holes=1, gaps_open=1,
            holes=1, hole_minutes=1, uncovered_us=2 * S, lost=5, published=1000,
        )
    }  # fmt: skip
    assert days[DAY].gap_rate == 0.005


def test_what_a_reset_ended_is_neither_filled_nor_counted_as_lost() -> None:
    _, days = counted(
        event(FeedEventKind.GAP_OPENED, (10, 19), T0_US, T0_US),
        event(FeedEventKind.RESET, None, T0_US, T0_US + S),
    )
    assert days == {
        DAY: DayCounts(gaps=1, missing=10, gaps_in_holes=1, holes=1, hole_minutes=1, uncovered_us=S, resets=1)
    }


def test_the_time_of_holes_lies_on_its_days_and_counts_once() -> None:
    midnight_us = T0_US + 86_400 * S
    _, days = counted(
        hole((1, 2), midnight_us - 90 * S, midnight_us + 30 * S),
        hole((3, 3), midnight_us - 10 * S, midnight_us + 90 * S),
    )
    assert [(days[day].uncovered_us, days[day].hole_minutes) for day in (DAY, DAY + 1)] == [(90 * S, 2), (90 * S, 2)]
    assert [(days[day].holes, days[day].lost) for day in (DAY, DAY + 1)] == [(2, 3), (0, 0)]


def test_of_each_minute_the_newest_revision_is_published() -> None:
    _, days = counted(candles=(candle(1, 1, 9, revision=5), candle(1, 1, 4, revision=3), candle(2, 10, 10)))
    assert days[DAY].published == 10


@pytest.mark.parametrize(
    ("candles", "end", "lost"),
    [
        ((), HoleEnd.HOLE, 10),
        ((candle(3, 5, 9),), HoleEnd.HOLE, 10),
        ((candle(3, 5, 25),), HoleEnd.REPAIRED, 0),
        ((candle(3, 5, 14), candle(4, 15, 25)), HoleEnd.REPAIRED, 0),
        ((candle(3, 5, 12), candle(4, 17, 25)), HoleEnd.HOLE, 4),
        ((candle(3, 5, 25, trades=20),), HoleEnd.HOLE, 10),  # one of its ids is missing, nobody knows which
        ((candle(3, 5, 9, status=Status.KLINE, trades=44), candle(4, 20, 25, status=Status.KLINE)), HoleEnd.KLINE, 10),
    ],
)
def test_a_hole_is_repaired_where_candles_have_its_ids(candles: tuple[Candle, ...], end: HoleEnd, lost: int) -> None:
    (ended,), days = counted(hole((10, 19), T0_US + 3 * M + S, T0_US + 4 * M + S), candles=candles)
    assert (ended.end, ended.lost) == (end, lost)
    assert (days[DAY].holes, days[DAY].lost) == (1, lost)
    assert days[DAY].holes_repaired == (end is HoleEnd.REPAIRED)
    assert days[DAY].uncovered_us == (0 if end is HoleEnd.REPAIRED else M)


LATER_MS = T0_MS + 3_600_000


@pytest.mark.parametrize(
    ("status", "of_run", "appended_ms", "end"),
    [
        (Status.COMPLETE, True, LATER_MS, HoleEnd.REPAIRED),
        (Status.CONNECTED, True, LATER_MS, HoleEnd.REPAIRED),
        (Status.HOLE, True, LATER_MS, HoleEnd.HOLE),
        (Status.COMPLETE, False, LATER_MS, HoleEnd.HOLE),  # a live candle may be final: the hole names what it lacks
        (Status.COMPLETE, True, 0, HoleEnd.HOLE),  # the run came first
    ],
)
def test_a_hole_without_ids_is_repaired_by_a_later_run_alone(
    status: Status,
    of_run: bool,  # noqa: FBT001  # a case of the table
    appended_ms: int,
    end: HoleEnd,
) -> None:
    (ended,), _ = counted(
        hole(None, T0_US + 3 * M, T0_US + 3 * M + S),
        candles=(candle(3, 1, 9, status=status),), of_run=of_run, appended_ms=appended_ms,
    )  # fmt: skip
    assert (ended.end, ended.lost) == (end, 0)


def test_a_very_long_hole_is_not_looked_up() -> None:
    long = LostRange(T0_US, T0_US + MAX_CHECKED * M, 0, "")
    assert not hole_minutes(long)
    assert len(hole_minutes(LostRange(T0_US, T0_US + MAX_CHECKED * M - 1, 0, ""))) == MAX_CHECKED


def test_memory_is_bounded_by_the_days_of_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_module, "MOST_DAYS", 1)
    trades = PublishedTrades()
    trades.take(candle(1, 1, 1), is_of_run=False, appended_ms=0)
    trades.take(candle(2, 2, 2), is_of_run=False, appended_ms=0)
    with pytest.raises(UsageError, match="give fewer --days"):
        trades.take(candle(1_440, 3, 3), is_of_run=False, appended_ms=0)


spans = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair)))


@given(spans, st.lists(spans, max_size=5))
def test_ids_left_are_those_that_no_candle_holds(ids: tuple[int, int], held: list[tuple[int, int]]) -> None:
    states = [MinuteState(1, Status.COMPLETE, span, is_of_run=False, appended_ms=0) for span in held]
    left = without(IdRanges([ids]), [None, *states])
    expected = set(range(ids[0], ids[1] + 1)) - {number for first, last in held for number in range(first, last + 1)}
    assert {number for first, last in left for number in range(first, last + 1)} == expected


def test_the_report_in_words_and_as_json() -> None:
    ended, _ = counted(hole((10, 10), T0_US + M, T0_US + M + S), hole(None, T0_US + 9 * M, T0_US + 9 * M))
    days = {
        (DAY, KEY): DayCounts(disconnects=1, gaps=2, lost=1, published=3_000_000, uncovered_us=S, resets=1),
        (DAY, "binance:ETH-USDT"): DayCounts(published=1_000_000),
    }
    report = GapReport("binance", DAY, days, ended, unreadable=2)
    rows = list(table_rows(report))
    assert [dict(zip(HEADINGS, row, strict=True))["gap rate"] for row in rows] == ["0.000033 %", "0.000025 %"]
    assert [row[:2] for row in rows] == [("2021-01-08", "BTC-USDT"), ("total", "")]
    assert list(hole_rows(report)) == [
        ("BTC-USDT", "2021-01-08T00:01Z to 2021-01-08T00:01:01Z", "10", "hole", "not filled in time"),
        ("BTC-USDT", "2021-01-08T00:09Z to 2021-01-08T00:09Z", "not known", "hole", "not filled in time"),
    ]
    assert [sentence.split(":")[0] for sentence in notes(report)] == [
        "only in the total",
        "1 holes do not tell which trades are missing",
        "ids were reset 1 times, claims were taken back 0 times",
        "2 records can't be read and are not counted",
    ]
    told = as_json(report)
    assert told["total"]["gap_rate"] == 1 / 4_000_000
    assert told["days"][0]["uncovered_s"] == 1.0
    assert "uncovered_us" not in told["days"][0]
    assert told["holes"][0]["ids"] == [{"first": "10", "last": "10"}]


def test_a_row_says_how_gaps_ended_and_what_holes_cost() -> None:
    counts = DayCounts(
        disconnects=3, gaps=4, missing=1_241, gaps_filled=2, filled=1_236, gaps_in_holes=1, gaps_open=1,
        holes=2, holes_repaired=1, hole_minutes=1, uncovered_us=2 * S, lost=3, published=12,
    )  # fmt: skip
    row, whole = table_rows(GapReport("binance", DAY, {(DAY, KEY): counts}))
    assert row[2:] == (
        "3",
        "4, 1,241 trades missing: 2 filled (1,236 trades), 1 in holes, 1 open",
        "2, 1 repaired: 3 trades lost in 1 minute, 2.0 s uncovered",
        "12",
        "25 %",
    )
    assert whole[2:] == row[2:]
    (reached, _) = table_rows(GapReport("binance", DAY, {(DAY, KEY): DayCounts(hole_minutes=2, uncovered_us=90 * S)}))
    assert reached[2:5] == ("", "", "0 trades lost in 2 minutes, 90.0 s uncovered")


@pytest.mark.parametrize(
    ("lost", "published", "text"), [(0, 0, ""), (0, 5, "0"), (1, 8, "12 %"), (1, 3_000_000_000, "0.000000033 %")]
)
def test_a_rate_is_readable(lost: int, published: int, text: str) -> None:
    assert rate_text(DayCounts(lost=lost, published=published)) == text
