"""Which minutes are asked for, by what the log says of them; and klines planned over a log."""

from decimal import Decimal

import pytest

from market.candle import Candle, Status
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.timeframe import Timeframe
from market.trade import Marker, Proof, Side, Trade
from producers.archive.dump import DumpPeriod
from producers.archive.logged import LogSurvey, Run
from producers.backfill.klines import plan_klines
from producers.backfill.search import KnownTrade
from producers.backfill.wanted import (
    KLINES,
    KLINES_AGAIN,
    TRADES,
    TRADES_AGAIN,
    Aim,
    logged_around,
    minutes_of,
    wanted_spans,
)

MINUTE = 60_000_000
START = 28_000_000 * MINUTE
MARKS = {
    "i": Proof.IDS, "c": Proof.CONNECTION, "k": Proof.KLINE, "h": Proof.HOLE
}  # fmt: skip


def span(first: int, end: int) -> DumpPeriod:
    return DumpPeriod(START + first * MINUTE, START + end * MINUTE)


def kline(minute: int, close: int = 5, trades: int = 2) -> GivenCandle:
    price = Decimal(close)
    return GivenCandle(
        open_time_ms=(START + minute * MINUTE) // 1000, open=price, high=price, low=price, close=price,
        volume=Decimal(1), trades=trades,
    )  # fmt: skip


def log_of(marks: str, run: Run = None, *, traded: str = "") -> LogSurvey:
    """A log in which a series says of each minute what `marks` says; a dot: nothing. `traded`: x for a trade."""
    log = LogSurvey(MarketKey("x", "A-B"))
    for minute, mark in enumerate(marks):
        if traded[minute : minute + 1] == "x":
            price = Decimal(3)
            trade = Trade(
                exchange="x", symbol="A-B", trade_id=str(100 + minute), price=price, qty=price, side=Side.BUY,
                time_us=START + minute * MINUTE + 7,
            )  # fmt: skip
            log.take_trade(trade, run, 2 * minute)
        if mark != ".":
            until_us = START + (minute + 1) * MINUTE
            marker = Marker(
                complete_until_us=until_us, published_until_us=until_us, proof=MARKS[mark], run=run,
                last_price=Decimal(3), kline=kline(minute) if mark == "k" else None,
            )  # fmt: skip
            log.take_marker(marker, 2 * minute + 1)
    return log


def told(spans: list[DumpPeriod], minutes: int) -> str:
    opened = {open_us for each in spans for open_us in range(each.from_us, each.until_us, MINUTE)}
    return "".join("?" if START + minute * MINUTE in opened else "-" for minute in range(minutes))


@pytest.mark.parametrize(
    ("aim", "asked"),
    [(TRADES, "-????"), (TRADES_AGAIN, "?????"), (KLINES, "---??"), (KLINES_AGAIN, "--?" + "??")],
    ids=["trades", "trades again", "klines", "klines again"],
)
def test_minutes_are_asked_for_unless_they_are_as_good_already(aim: Aim, asked: str) -> None:
    log = log_of("ickh.")
    assert told(wanted_spans(log, span(0, 5), aim, unfinished=set()), 5) == asked


def test_what_an_interrupted_run_gave_is_asked_for_again_but_nothing_better() -> None:
    log = log_of("ickh.", "cut short")
    assert told(wanted_spans(log, span(0, 5), TRADES, unfinished={"cut short"}), 5) == "?????"
    assert told(wanted_spans(log, span(0, 5), KLINES, unfinished={"cut short"}), 5) == "--???"
    assert told(wanted_spans(log, span(0, 5), TRADES, unfinished={"another"}), 5) == "-????"


def test_a_candle_counts_where_the_log_has_no_marker_left() -> None:
    log = LogSurvey(MarketKey("x", "A-B"), processed=100)
    for minute, status in enumerate((Status.COMPLETE, Status.HOLE)):
        open_ms, price = (START + minute * MINUTE) // 1000, Decimal(1)
        candle = Candle(
            exchange="x", symbol="A-B", timeframe=Timeframe.M1, open_time_ms=open_ms, close_time_ms=open_ms + 59_999,
            open=price, high=price, low=price, close=price, volume=price, quote_volume=price, trades=9,
            taker_buy_volume=price, taker_buy_quote_volume=price, first_trade_id="5", last_trade_id="13",
            revision=minute, status=status,
        )  # fmt: skip
        log.take_candle(candle, "old")
    assert told(wanted_spans(log, span(0, 2), TRADES, unfinished=set()), 2) == "-?"
    assert told(wanted_spans(log, span(0, 2), TRADES, unfinished={"old"}), 2) == "??"
    assert logged_around(log, START + MINUTE).before == KnownTrade(13, START)


def test_near_spans_are_joined() -> None:
    log = log_of("hiiihiih")
    spans = wanted_spans(log, span(0, 8), TRADES, unfinished=set(), join_us=2 * MINUTE)
    assert (told(spans, 8), minutes_of(spans)) == ("?---????", 5)


def test_the_log_knows_the_nearest_trades() -> None:
    log = log_of("iiiiii", traded="x..x.x")
    around = logged_around(log, START + 3 * MINUTE)
    assert around.before == KnownTrade(100, START)
    assert around.behind == KnownTrade(103, START + 3 * MINUTE)
    assert logged_around(log, START).before is None
    assert logged_around(log, START + 9 * MINUTE).behind is None


def test_a_kline_stands_in_only_where_nothing_is_better_and_prices_the_quiet_minutes_behind_it() -> None:
    log = log_of("ihcc.ci", traded="x..." + "..x")
    planned = plan_klines([kline(minute) for minute in (0, 1, 4)], log, until_us=START + 9 * MINUTE)
    assert [
        ((minute.open_us - START) // MINUTE, minute.proof, minute.last and minute.last.price)
        for minute in planned.minutes
    ] == [
        (1, Proof.KLINE, 5), (2, Proof.CONNECTION, 5), (3, Proof.CONNECTION, 5),
        (4, Proof.KLINE, 5), (5, Proof.CONNECTION, 5),
    ]  # fmt: skip
    assert all(minute.claim is Proof.CONNECTION for minute in planned.minutes if minute.kline is None)


def test_live_minutes_are_left_to_live_data() -> None:
    log = log_of("hc")
    planned = plan_klines([kline(0), kline(1)], log, until_us=START + MINUTE)
    assert [minute.open_us for minute in planned.minutes] == [START]
