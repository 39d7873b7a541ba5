"""Surveys and plans: which minutes a run covers, on what proof, after which row."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Status
from market.trade import Proof, Side, Trade
from producers.archive.dump import Span
from producers.archive.plan import (
    Known,
    PlannedMinute,
    choose_run,
    covered,
    hole_spans,
    minutes,
    not_improved,
    run_id,
)
from producers.archive.survey import DISORDER_US, DisorderError, Survey
from runtime.errors import UsageError

MINUTE = 60_000_000
DAY = 1440 * MINUTE
START = 18_000 * DAY


def trade(trade_id: int | str, time_us: int) -> Trade:
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(trade_id), price=Decimal(1), qty=Decimal(1), side=Side.BUY,
        time_us=START + time_us,
    )  # fmt: skip


BAD = None
"""A row that was passed over."""


def survey_of(*rows: tuple[int | str, int] | None) -> Survey:
    survey = Survey()
    for row in rows:
        if row is BAD:
            survey.skip()
        else:
            survey.add(trade(*row))
    return survey


def span(first: int, end: int) -> Span:
    return Span(START + first * MINUTE, START + end * MINUTE)


DAY_NAMED = Span(START, START + DAY)


@pytest.mark.parametrize(
    ("first_us", "last_us", "named", "from_us", "until_us", "expected"),
    [
        # By default: from the first trade's minute where that opens the day in the name, until the end of that day.
        (11_000_000, 5 * MINUTE, DAY_NAMED, None, None, span(0, 1440)),
        (0, 5 * MINUTE, DAY_NAMED, None, None, span(0, 1440)),
        # Else from the minute after, and without a name to the start of the last trade's minute.
        (MINUTE, 5 * MINUTE, DAY_NAMED, None, None, span(2, 1440)),
        (11_000_000, 5 * MINUTE + 1, None, None, None, span(1, 5)),
        # What is given wins, inwards to whole minutes, but not before the first trade's minute.
        (3 * MINUTE + 1, 5 * MINUTE, DAY_NAMED, START + 3 * MINUTE, None, span(3, 1440)),
        (3 * MINUTE + 1, 5 * MINUTE, DAY_NAMED, START, None, span(3, 1440)),
        (0, 5 * MINUTE, DAY_NAMED, START + MINUTE + 1, START + 4 * MINUTE + 1, span(2, 4)),
        (1, 46_000_000, DAY_NAMED, None, START + MINUTE, span(0, 1)),
        (1, 46_000_000, None, START, START + 10 * MINUTE, span(0, 10)),
    ],
)
def test_the_range_that_a_recording_covers(
    first_us: int, last_us: int, named: Span | None, from_us: int | None, until_us: int | None, expected: Span
) -> None:
    survey = Survey()
    survey.first_us, survey.newest_us, survey.rows = START + first_us, START + last_us, 2
    assert covered(survey, named, from_us=from_us, until_us=until_us) == expected


@pytest.mark.parametrize(
    ("named", "until_us", "reason"),
    [
        (None, None, "no whole minute"),
        (None, START + MINUTE - 1, "no whole minute"),
        (Span(START + 2 * DAY, START + 3 * DAY), None, "the file's name"),
        (Span(START - 3 * DAY, START - 2 * DAY), None, "the file's name"),
    ],
)
def test_a_range_that_cannot_be_is_refused(named: Span | None, until_us: int | None, reason: str) -> None:
    survey = survey_of((1, 5), (2, 30_000_000))
    with pytest.raises(UsageError, match=reason):
        covered(survey, named, until_us=until_us)


def proofs(survey: Survey, count: int) -> str:
    marks = {Proof.IDS: "i", Proof.HOLE: "h", Proof.CONNECTION: "c"}
    return "".join(marks[minute.proof] for minute in minutes(survey, span(0, count)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 0), (2, 1 * MINUTE), (3, 4 * MINUTE)], "iiiiii"),
        # An id is missing between two trades: it may belong to their minutes and to all between.
        ([(1, 0), (2, 1 * MINUTE), (4, 3 * MINUTE), (5, 4 * MINUTE)], "ihhhii"),
        ([(1, 0), (3, 1), (4, MINUTE)], "hiiiii"),
        # A later row fills it, or a part of it.
        ([(1, 0), (3, 2 * MINUTE), (2, 1 * MINUTE)], "iiiiii"),
        ([(1, 0), (5, 4 * MINUTE), (3, 2 * MINUTE), (2, 1 * MINUTE)], "iihhhi"),
        ([(5, MINUTE), (3, 0), (4, 1)], "iiiiii"),
        ([(5, MINUTE), (3, 0)], "hhiiii"),
        # The same row again proves nothing against the ids.
        ([(1, 0), (2, MINUTE), (2, MINUTE), (3, 2 * MINUTE), (1, 0)], "iiiiii"),
        # Ids that are no numbers prove nothing.
        ([("a", 0), ("b", MINUTE)], "cccccc"),
    ],
)
def test_what_proves_a_minute(rows: list[tuple[int | str, int]], expected: str) -> None:
    assert proofs(survey_of(*rows), 6) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Contiguous ids around it: no trade is missing.
        ([(1, 0), BAD, (2, MINUTE), (3, 2 * MINUTE)], "iiiiii"),
        ([(1, 0), BAD, (3, 2 * MINUTE), (4, 3 * MINUTE)], "hhhiii"),
        # A row that is there twice says nothing of what was passed over.
        ([(1, 0), (2, MINUTE), BAD, (2, MINUTE), (3, 2 * MINUTE)], "iiiiii"),
        ([("a", 0), ("b", MINUTE), BAD, ("b", MINUTE), ("c", 3 * MINUTE)], "chhhcc"),
        # At the end, or the beginning, nothing bounds it.
        ([(1, 0), (2, MINUTE), BAD], "ihhhhh"),
        ([(1, 0), (2, MINUTE), BAD, BAD, (2, MINUTE)], "ihhhhh"),
        ([BAD, (1, MINUTE), (2, 2 * MINUTE)], "hhiiii"),
        # Ids that are no numbers prove nothing.
        ([("a", 0), BAD, BAD, ("b", MINUTE), ("c", 2 * MINUTE)], "hhcccc"),
        ([("a", 2 * MINUTE), BAD, ("b", MINUTE), ("c", 3 * MINUTE)], "chhccc"),
        ([("a", 0), ("b", 3 * MINUTE), BAD], "ccchhh"),
        ([BAD, ("a", MINUTE)], "hhcccc"),
    ],
)
def test_a_row_that_was_passed_over_may_be_a_trade(rows: list[tuple[int | str, int] | None], expected: str) -> None:
    assert proofs(survey_of(*rows), 6) == expected


def test_passed_over_rows_are_kept_by_the_minute() -> None:
    rows = [row for at in range(3600) for row in ((f"t{at}", at * 1_000_000), BAD)]
    survey = survey_of(*rows)
    assert len(survey.holes()) < 130
    assert proofs(survey, 61) == "h" * 61


def test_missing_minutes_that_follow_each_other_are_one_span() -> None:
    survey = survey_of((1, 0), (3, 1), (4, MINUTE), (6, 3 * MINUTE), (7, 4 * MINUTE), BAD)
    planned = list(minutes(survey, span(0, 7)))
    assert hole_spans(planned) == [span(0, 7)]
    assert hole_spans(planned[:1] + planned[3:]) == [span(0, 1), span(3, 7)]  # one left alone parts them
    assert hole_spans(minutes(survey_of((1, 0), (3, 1), (4, MINUTE), (6, 3 * MINUTE)), span(0, 3))) == [span(0, 3)]
    assert hole_spans(minutes(survey_of((1, 0), (3, 1), (4, 3 * MINUTE), (6, 4 * MINUTE)), span(0, 3))) == [span(0, 1)]
    assert hole_spans(minutes(survey_of((1, 0), (2, 1)), span(0, 3))) == []


def test_old_gaps_are_kept_by_the_minute() -> None:
    survey = survey_of(*((2 * at, at * 1_000_000) for at in range(3600)))
    assert len(survey.holes()) < 700  # ten minutes of single gaps, and one for each minute before
    assert proofs(survey, 61) == "h" * 60 + "i"


def test_rows_are_counted_once_an_id() -> None:
    survey = survey_of((1, 0), (1, 0), ("t", 1), ("t", 1), (2, 5))
    assert (survey.rows, survey.repeated) == (5, 2)
    assert [minute.trades for minute in minutes(survey, span(0, 2))] == [3, 0]


def test_rows_far_behind_and_ids_that_begin_anew_are_refused() -> None:
    with pytest.raises(DisorderError, match="behind"):
        survey_of((1, DISORDER_US + 2), (2, 1))
    with pytest.raises(DisorderError, match="begins anew"):
        survey_of((100, 0), (101, 1), (1, 2))
    with pytest.raises(DisorderError, match="comes again"):
        survey_of((1, 0), (2, 1), (3, 1), (1, 2))


def test_the_last_trade_is_by_time_and_then_by_number() -> None:
    survey = survey_of((9, 10), (10, 10), (8, 5), (11, MINUTE))
    planned = list(minutes(survey, span(1, 3)))
    assert [minute.last and minute.last.trade_id for minute in planned] == ["11", "11"]
    before = survey.last_before(START + MINUTE)
    assert before is not None
    assert before.trade_id == "10"


@given(st.lists(st.integers(0, 9 * MINUTE), min_size=1, max_size=40))
def test_a_minute_is_due_when_no_row_of_it_or_before_it_is_left(times: list[int]) -> None:
    survey = survey_of(*((f"t{at}", time_us) for at, time_us in enumerate(times)))
    planned = list(minutes(survey, span(0, 10)))
    for minute in planned:
        end_us = minute.open_us + MINUTE
        rows = [at for at, time_us in enumerate(times, 1) if START + time_us < end_us]
        assert minute.after_row == max(rows, default=0)
        assert minute.trades == sum(minute.open_us <= START + time_us < end_us for time_us in times)
    assert [minute.after_row for minute in planned] == sorted(minute.after_row for minute in planned)


def test_only_minutes_that_improve_are_published_and_quiet_ones_after_them() -> None:
    def planned(at: int, trades: int, proof: Proof = Proof.IDS) -> PlannedMinute:
        return PlannedMinute(START + at * MINUTE, proof, trades, None, 0)

    complete, hole = Status.COMPLETE, Status.HOLE
    known = {
        START + at * MINUTE: candle
        for at, candle in {
            0: Known(complete, 5), 1: Known(Status.CONNECTED, 5), 2: Known(complete, 0), 3: Known(complete, 0),
            4: Known(complete, 3), 5: Known(complete, 0), 6: Known(hole, 4), 7: Known(complete, 9), 8: Known(hole, 9),
        }.items()
    }  # fmt: skip
    plan = [
        planned(0, 5),  # as good: left
        planned(1, 5),  # a better status
        planned(2, 0), planned(3, 0),  # flat at the close of minute 1
        planned(4, 3), planned(5, 0),  # as good, and what follows too: left
        planned(6, 5, Proof.HOLE),  # more trades
        planned(7, 12, Proof.HOLE),  # more trades do not make up for a worse status
        planned(8, 9, Proof.HOLE),  # as good
        planned(9, 0),  # no candle yet
    ]  # fmt: skip
    left = not_improved(plan, known)
    assert sorted((open_us - START) // MINUTE for open_us in left) == [0, 4, 5, 7, 8]


def test_a_runs_id_is_of_key_range_and_content() -> None:
    one = run_id("x:A-B", span(0, 5), b"digest")
    assert one == "595e130d9083f592"
    assert len({one, run_id("x:A-C", span(0, 5), b"digest"), run_id("x:A-B", span(0, 6), b"digest"),
                run_id("x:A-B", span(1, 5), b"digest"), run_id("x:A-B", span(0, 5), b"other")}) == 5  # fmt: skip


def test_force_takes_the_first_id_that_is_not_finished() -> None:
    one = run_id("k", span(0, 5), b"d")
    assert choose_run("k", span(0, 5), b"d", set(), forced=False) == (one, False)
    assert choose_run("k", span(0, 5), b"d", {one}, forced=False) == (one, True)
    assert choose_run("k", span(0, 5), b"d", {one}, forced=True) == (f"{one}-2", False)
    assert choose_run("k", span(0, 5), b"d", {one, f"{one}-2"}, forced=True) == (f"{one}-3", False)
