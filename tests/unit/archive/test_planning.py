"""Surveys and plans: which minutes a file claims, what a run publishes, after which row."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Candle, Status
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.timeframe import Timeframe
from market.trade import Marker, Proof, Side, Trade
from producers.archive.dump import DumpPeriod
from producers.archive.logged import LogSurvey
from producers.archive.plan import Plan, covered, plan
from producers.archive.proof import IdKind
from producers.archive.report import ReportedRange, ranges
from producers.archive.run_id import choose_run, run_id
from producers.archive.survey import DISORDER_US, DisorderError, SkippedRows, Survey, same_content
from runtime.errors import UsageError

KEY = MarketKey("x", "A-B")
MINUTE = 60_000_000
DAY = 1440 * MINUTE
START = 18_000 * DAY


def trade(trade_id: int | str, time_us: int, price: int = 1) -> Trade:
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(trade_id), price=Decimal(price), qty=Decimal(1), side=Side.BUY,
        time_us=START + time_us,
    )  # fmt: skip


BAD = None
"""A row that was skipped."""


def survey_of(*rows: tuple[int | str, int] | None) -> Survey:
    survey = Survey()
    for line, row in enumerate(rows, 1):
        if row is BAD:
            survey.skip(line)
        else:
            survey.add(trade(*row))
    return survey


def span(first: int, end: int) -> DumpPeriod:
    return DumpPeriod(START + first * MINUTE, START + end * MINUTE)


def planned(survey: Survey, claimed: DumpPeriod, log: LogSurvey | None = None, kind: IdKind | None = None) -> Plan:
    log = log or LogSurvey(KEY)
    return plan(survey, survey.claims(claimed), log, until_us=START + DAY, kind=kind)


def told(result: Plan) -> dict[int, str]:
    marks = {Proof.IDS: "i", Proof.HOLE: "h", Proof.CONNECTION: "c", Proof.KLINE: "k"}
    return {(minute.open_us - START) // MINUTE: marks[minute.proof] for minute in result.minutes}


def claims(survey: Survey, count: int) -> str:
    marks = {Status.CONNECTED: "c", Status.HOLE: "h"}
    return "".join(marks[status] for status in survey.claims(span(0, count)).values())


def logged(survey: Survey, claimed: DumpPeriod, run: str = "before", log: LogSurvey | None = None) -> LogSurvey:
    """The log once a run with this file was published, and not yet made into candles."""
    log = log or LogSurvey(KEY)
    offset = max(log.last_offset.values(), default=0) + 1
    for minute in survey.minutes.values():
        assert minute.last is not None
        for first, last in minute.ids.numbers:
            for number in range(first, last + 1):
                log.take_trade(trade(number, minute.last.time_us - START), run, offset)
                offset += 1
    for minute in planned(survey, claimed, log).minutes:
        until_us = minute.open_us + MINUTE
        log.take_marker(
            Marker(
                complete_until_us=until_us, published_until_us=until_us, proof=minute.proof, run=run,
                claim=minute.claim, last_price=minute.last.price if minute.last else None,
            ),
            offset,
        )  # fmt: skip
        offset += 1
    return log


DAY_NAMED = DumpPeriod(START, START + DAY)


@pytest.mark.parametrize(
    ("first_us", "last_us", "named", "from_us", "until_us", "expected"),
    [
        # By default the day in the name.
        (11_000_000, 5 * MINUTE, DAY_NAMED, None, None, span(0, 1440)),
        (7 * MINUTE, 9 * MINUTE, DAY_NAMED, None, None, span(0, 1440)),
        # Without a name the whole minutes between the first and the last trade, which may be none.
        (11_000_000, 5 * MINUTE + 1, None, None, None, span(1, 5)),
        (5, 30_000_000, None, None, None, span(1, 1)),
        # What is given wins, inwards to whole minutes, but not before the day in the name or the first trade's minute.
        (3 * MINUTE + 1, 5 * MINUTE, DAY_NAMED, START + 3 * MINUTE, None, span(3, 1440)),
        (3 * MINUTE + 1, 5 * MINUTE, DAY_NAMED, START - DAY, None, span(0, 1440)),
        (3 * MINUTE + 1, 5 * MINUTE, None, START, None, span(3, 5)),
        (0, 5 * MINUTE, DAY_NAMED, START + MINUTE + 1, START + 4 * MINUTE + 1, span(2, 4)),
        (1, 46_000_000, DAY_NAMED, None, START + MINUTE, span(0, 1)),
        (1, 46_000_000, None, START, START + 10 * MINUTE, span(0, 10)),
    ],
)
def test_the_minutes_that_a_file_claims(
    first_us: int,
    last_us: int,
    named: DumpPeriod | None,
    from_us: int | None,
    until_us: int | None,
    expected: DumpPeriod,
) -> None:
    survey = survey_of((1, first_us)) if last_us - first_us > DISORDER_US else survey_of((1, first_us), (2, last_us))
    assert covered(survey, named, from_us=from_us, until_us=until_us) == expected


@pytest.mark.parametrize(
    "named", [DumpPeriod(START + 2 * DAY, START + 3 * DAY), DumpPeriod(START - 3 * DAY, START - 2 * DAY)]
)
def test_a_name_of_another_time_is_refused(named: DumpPeriod) -> None:
    with pytest.raises(UsageError, match="the file's name"):
        covered(survey_of((1, 5), (2, 30_000_000)), named)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", 0), BAD, BAD, ("b", MINUTE), ("c", 2 * MINUTE)], "hhcccc"),
        ([("a", 2 * MINUTE), BAD, ("b", MINUTE), ("c", 3 * MINUTE)], "chhccc"),
        # A row that is there twice says nothing of what was skipped.
        ([("a", 0), ("b", MINUTE), BAD, ("b", MINUTE), ("c", 3 * MINUTE)], "chhhcc"),
        # At the end, or the beginning, nothing bounds it.
        ([("a", 0), ("b", 3 * MINUTE), BAD], "ccchhh"),
        ([BAD, ("a", MINUTE)], "hhcccc"),
        # Contiguous ids around it: no trade is missing.
        ([(1, 0), BAD, (2, MINUTE), (3, 2 * MINUTE)], "cccccc"),
        ([(1, 0), BAD, (3, 2 * MINUTE), (4, 3 * MINUTE)], "hhhccc"),
    ],
)
def test_a_skipped_row_may_be_a_trade(rows: list[tuple[int | str, int] | None], expected: str) -> None:
    assert claims(survey_of(*rows), 6) == expected


def test_skipped_rows_that_may_be_trades_are_noted_with_their_lines() -> None:
    survey = survey_of(("a", 0), BAD, BAD, ("b", MINUTE), (1, MINUTE), BAD, (2, MINUTE), BAD)
    assert survey.skipped(START + 9 * MINUTE) == [SkippedRows(2, 2, span(0, 2)), SkippedRows(8, 1, span(1, 9))]
    result = planned(survey, span(0, 5))
    assert [(told.skipped, told.span) for told in ranges(result)] == [(survey.skipped(START + DAY), span(0, 5))]


def test_a_files_own_beginning_and_end_are_only_claimed() -> None:
    result = planned(survey_of((1, MINUTE), (2, 2 * MINUTE), (3, 4 * MINUTE)), span(0, 6))
    assert told(result) == {0: "c", 1: "c", 2: "i", 3: "i", 4: "c", 5: "c"}
    assert result.minutes[0].last is None


def test_ids_of_another_file_adjoin_a_beginning_and_an_end() -> None:
    log = logged(survey_of((1, 0), (2, MINUTE)), span(0, 3))
    result = planned(survey_of((3, 3 * MINUTE), (4, 4 * MINUTE)), span(3, 6), log)
    assert told(result) == {1: "i", 2: "i", 3: "i", 4: "c", 5: "c"}  # minute 1 is published again, its trade read back
    assert (result.read_back, result.left) == ({START + MINUTE}, 0)


def test_a_claim_is_taken_back_where_ids_show_that_trades_are_missing() -> None:
    log = logged(survey_of((1, 0), (2, MINUTE)), span(0, 4))
    result = planned(survey_of((9, 4 * MINUTE), (10, 5 * MINUTE)), span(4, 6), log, IdKind.CONTIGUOUS)
    assert told(result) == {1: "h", 2: "h", 3: "h", 4: "h", 5: "c"}
    assert ranges(result)[0] == ReportedRange(Proof.HOLE, span(1, 5), 2, result.gaps, [])
    assert [(gap.first, gap.last) for gap in result.gaps] == [(3, 8)]


def test_a_file_that_lacks_what_the_log_has_takes_nothing_back() -> None:
    whole = survey_of(*((number, number * 30_000_000) for number in range(10)))
    log = logged(whole, span(0, 5))
    poorer = survey_of(*((number, number * 30_000_000) for number in range(10) if number != 4))
    result = planned(poorer, span(0, 5), log)
    assert (result.minutes, result.kept, result.left) == ([], 0, 5)


def test_trades_of_an_unfinished_minute_are_kept_until_it_is_whole() -> None:
    early = survey_of((1, 10), (2, MINUTE), (3, 2 * MINUTE))
    first = planned(early, covered(early, None))
    assert (told(first), first.kept, first.unfinished) == ({1: "i"}, 2, 2)
    log = logged(early, covered(early, None))
    late = survey_of((4, 2 * MINUTE + 5), (5, 3 * MINUTE), (6, 4 * MINUTE))
    result = planned(late, covered(late, None), log)
    assert told(result) == {2: "i", 3: "i"}
    assert [minute.trades for minute in result.minutes] == [2, 1]
    assert result.read_back == {START + 2 * MINUTE}


def live(log: LogSurvey, until: int, offset: int, proof: Proof = Proof.IDS) -> None:
    until_us = START + until * MINUTE
    log.take_marker(
        Marker(complete_until_us=until_us, published_until_us=until_us, proof=proof, last_price=Decimal(1)), offset
    )


@pytest.mark.parametrize("of", ["trade", "marker"])
def test_what_comes_when_a_minute_is_final_will_be_in_no_candle_that_the_engine_has_still_to_make(of: str) -> None:
    log = LogSurvey(KEY)
    live(log, 0, 0, Proof.BEGIN)
    log.take_trade(trade(1, 0), None, 1)
    log.take_trade(trade(2, MINUTE), None, 2)
    for until in range(1, 20):
        if until != 2 or of == "trade":
            live(log, until, 2 + until)
    if of == "trade":
        log.take_trade(trade(3, MINUTE + 5), None, 30)
    else:
        live(log, 2, 30)
    file = [(1, 0), (2, MINUTE)] + [(3, MINUTE + 5)] * (of == "trade")
    assert list(told(planned(survey_of(*file), span(0, 2), log))) == [1]


def test_quiet_minutes_after_a_mended_one_are_flat_at_its_new_close() -> None:
    log = logged(survey_of((1, 0), (3, MINUTE), (9, 5 * MINUTE)), span(0, 6))
    result = planned(survey_of((2, MINUTE - 1), (3, MINUTE), (4, MINUTE + 9)), span(0, 2), log, IdKind.OPAQUE)
    assert list(told(result)) == [0, 1]
    log.minutes[START + 2 * MINUTE].series["before"].price = Decimal(7)
    assert list(told(planned(survey_of((3, MINUTE)), span(0, 1), log, IdKind.OPAQUE))) == [2]


def kline(at: int) -> GivenCandle:
    price = Decimal(1)
    open_ms = (START + at * MINUTE) // 1000
    return GivenCandle(open_time_ms=open_ms, open=price, high=price, low=price, close=price, volume=price)


def test_the_exchanges_own_kline_stands_until_all_its_trades_are_known() -> None:
    log = LogSurvey(KEY)
    for at, proof in enumerate((Proof.IDS, Proof.KLINE, Proof.IDS)):
        until_us = START + (at + 1) * MINUTE
        log.take_trade(trade(10 * at, at * MINUTE), None, 2 * at)
        marker = Marker(complete_until_us=until_us, published_until_us=until_us, proof=proof, kline=kline(at))
        log.take_marker(marker, 2 * at + 1)
    partly = survey_of(*((number, number * 6_000_000) for number in range(15)))
    again = planned(partly, span(0, 2), log, IdKind.CONTIGUOUS)
    assert told(again)[1] == "k", "only so that later imports know what the file claims"
    assert again.minutes[1].kline == kline(1)
    wholly = survey_of(*((number, number * 6_000_000) for number in range(21)))
    assert told(planned(wholly, span(0, 2), log, IdKind.CONTIGUOUS))[1] == "i"


def test_ids_in_both_with_other_contents_have_to_be_compared() -> None:
    log = logged(survey_of((1, 0), (2, MINUTE)), span(0, 2))
    survey = Survey()
    survey.add(trade(1, 0, price=5))
    survey.add(trade(2, MINUTE))
    assert planned(survey, span(0, 2), log).compare == {START}


def test_two_resolutions_of_a_time_are_no_conflict() -> None:
    coarse, fine = trade(1, 1_123_000), trade(1, 1_123_456)
    assert same_content(coarse, fine)
    assert same_content(trade(1, 1_000_000), fine)
    assert not same_content(trade(1, 1_122_000), fine)
    assert not same_content(fine, trade(1, 1_123_457))
    assert not same_content(coarse, trade(1, 1_123_000, price=2))


def test_of_an_id_that_a_file_tells_twice_the_first_copy_counts() -> None:
    survey = Survey()
    for row in (trade(6, 0), trade(7, 5), trade(7, 5, price=5), trade(7, 5), trade(8, MINUTE)):
        survey.add(row)
    assert (survey.rows.repeated, survey.rows.conflicts.count) == (2, 1)
    assert [(row.trade_id, row.open_us) for row in survey.rows.conflicts.named] == [("7", START)]


def test_live_data_own_the_newest_minutes() -> None:
    survey = survey_of(*((number, number * MINUTE) for number in range(8)))
    result = plan(survey, survey.claims(span(0, 8)), LogSurvey(KEY), until_us=START + 4 * MINUTE)
    assert told(result) == {0: "c", 1: "i", 2: "i", 3: "i"}


def test_rows_are_counted_once_an_id() -> None:
    survey = survey_of((1, 0), (1, 0), ("t", 1), ("t", 1), (2, 5))
    assert (survey.count, survey.rows.repeated) == (5, 2)
    assert [minute.trades for minute in planned(survey, span(0, 2)).minutes] == [3, 0]


def test_rows_far_behind_are_refused_and_ids_that_begin_anew_are_noted() -> None:
    with pytest.raises(DisorderError, match="behind"):
        survey_of((1, DISORDER_US + 2), (2, 1))
    far = 3 * DISORDER_US
    assert survey_of((100, 0), (101, 1), (102, far), (1, far + MINUTE), (2, far + 2 * MINUTE)).rows.fell == "1"
    assert survey_of((100, 0), (99, 1), (101, far), (103, far), (102, far + 1)).rows.fell is None


def test_the_last_trade_is_by_time_and_then_by_number() -> None:
    survey = survey_of((9, 10), (10, 10), (8, 5), (11, MINUTE))
    result = planned(survey, span(1, 3), kind=IdKind.ORDERED)
    assert [minute.last and minute.last.trade_id for minute in result.minutes] == ["11", "11"]
    assert result.before is not None
    assert result.before.trade_id == "10"


@given(st.lists(st.integers(0, 9 * MINUTE), min_size=1, max_size=40))
def test_a_minute_is_due_when_no_row_of_it_or_before_it_is_left(times: list[int]) -> None:
    survey = survey_of(*((f"t{at}", time_us) for at, time_us in enumerate(times)))
    result = planned(survey, span(0, 10)).minutes
    for minute in result:
        end_us = minute.open_us + MINUTE
        rows = [at for at, time_us in enumerate(times, 1) if START + time_us < end_us]
        assert minute.after_row == max(rows, default=0)
        assert minute.trades == sum(minute.open_us <= START + time_us < end_us for time_us in times)
    assert [minute.after_row for minute in result] == sorted(minute.after_row for minute in result)


def test_a_runs_id_is_of_key_range_and_content() -> None:
    first = run_id(KEY, span(0, 5), b"digest")
    assert first == "595e130d9083f592"
    assert len({first, run_id(MarketKey("x", "A-C"), span(0, 5), b"digest"), run_id(KEY, span(0, 6), b"digest"),
                run_id(KEY, span(1, 5), b"digest"), run_id(KEY, span(0, 5), b"other")}) == 5  # fmt: skip


def test_a_runs_id_is_the_first_that_may_go_on() -> None:
    first = run_id(KEY, span(0, 5), b"d")

    def chosen(finished: set[str], crossed: set[str] = frozenset(), *, forced: bool = False) -> tuple[str, bool]:  # type: ignore[assignment]
        return choose_run(KEY, span(0, 5), b"d", finished, crossed.__contains__, forced=forced)

    assert chosen(set()) == (first, False)
    assert chosen({first}) == (first, True)
    assert chosen({first}, forced=True) == (f"{first}-2", False)
    assert chosen({first, f"{first}-2"}, forced=True) == (f"{first}-3", False)
    assert chosen(set(), {first}) == (f"{first}-2", False)  # interrupted, and another run came between
    assert chosen({f"{first}-2"}, {first}) == (f"{first}-2", True)


def test_a_run_is_crossed_by_one_that_stands_behind_its_beginning() -> None:
    log = LogSurvey(KEY)
    log.take_trade(trade(1, 0), "a", 1)
    assert not log.is_crossed("a")
    log.take_trade(trade(1, 0), None, 2)
    assert not log.is_crossed("a")
    log.take_trade(trade(2, 0), "b", 3)
    assert log.is_crossed("a")
    assert not log.is_crossed("b")


def test_a_run_is_crossed_by_a_live_trade_that_only_a_run_can_bring_into_its_candle() -> None:
    log = LogSurvey(KEY)
    live(log, 30, 0)
    log.take_trade(trade(1, 0), "a", 1)
    log.take_trade(trade(9, 25 * MINUTE), None, 2)
    assert not log.is_crossed("a")
    log.take_trade(trade(2, MINUTE), None, 3)  # its minute is final
    assert log.is_crossed("a")


def test_a_kline_gives_way_to_the_trades_that_prove_its_minute() -> None:
    log = LogSurvey(KEY, processed=2)
    kline = Candle(
        exchange="x", symbol="A-B", timeframe=Timeframe.M1, open_time_ms=(START + MINUTE) // 1000,
        close_time_ms=(START + 2 * MINUTE) // 1000 - 1, open=Decimal(1), high=Decimal(1), low=Decimal(1),
        close=Decimal(1), volume=Decimal(7), quote_volume=Decimal(7), trades=7, taker_buy_volume=Decimal(0),
        taker_buy_quote_volume=Decimal(0), revision=1, status=Status.KLINE,
    )  # fmt: skip
    log.take_candle(kline, "klines")
    survey = survey_of((1, 5), (2, MINUTE + 5), (3, 2 * MINUTE + 5))
    result = planned(survey, span(1, 2), log)
    assert (told(result), result.out_of_reach) == ({1: "i"}, [])
