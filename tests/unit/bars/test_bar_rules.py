"""The rules of bars, each by its name."""

from decimal import Decimal

import pytest
from bar_log import Disk, expected_bars, fractions_of, new_core, of_market
from market_log import KEYS, MINUTE, START, Log, make_trade

from market.bar import Bar, BarKind
from market.codec import encode_bar, encode_trade
from market.trade import Proof, Side, Trade
from processors.bars.core import BarCore, BarOutputs, BarRules
from processors.bars.thresholds import BarSize, BarThresholds
from processors.engine.input import AheadError, MisplacedError

KEY = KEYS[0]
LATENESS_MINUTES = 10


def thresholds(*sizes: tuple[BarKind, str], key: str = KEY) -> BarThresholds:
    return BarThresholds({key: tuple(sorted(BarSize(kind, Decimal(text)) for kind, text in sizes))})


def begun(log: Log | None = None, key: str = KEY) -> Log:
    log = log or Log()
    log.marker(key, START, Proof.BEGIN)
    return log


def trade(log: Log, number: int, minute: float, price: str = "10", qty: str = "1", key: str = KEY) -> Trade:
    made = make_trade(key, number, START + int(minute * MINUTE), price, qty, Side.BUY if number % 2 else Side.SELL)
    log.trade(made)
    return made


def bars_of(log: Log, *sizes: tuple[BarKind, str]) -> list[Bar]:
    return [bar for bar, _ in new_core(thresholds(*sizes)).process(log.records).bars]


def test_a_tick_bar_has_so_many_trades_and_says_all_of_them() -> None:
    log = begun()
    trade(log, 1, 0.1, "10", "1")
    trade(log, 2, 0.2, "12.5", "2")
    trade(log, 3, 0.3, "9", "0.5")
    trade(log, 4, 0.4, "11")
    marker = log.marker(KEY, START + MINUTE)
    (bar,) = bars_of(log, (BarKind.TICK, "3"))
    assert encode_bar(bar) == (
        b'{"exchange":"sim","symbol":"AAA-USD","kind":"tick","threshold":"3","series_begin_us":1700000040000000,'
        b'"number":1,"open_time_us":1700000046000000,"close_time_us":1700000058000000,"open":"10","high":"12.5",'
        b'"low":"9","close":"9","volume":"3.5","quote_volume":"39.5","trades":3,"taker_buy_volume":"1.5",'
        b'"taker_buy_quote_volume":"14.5","first_trade_id":"1","last_trade_id":"3","remainder":"0","late_trades":0,'
        b'"revision":%d,"status":"complete"}' % marker.offset
    )


def test_what_a_trade_brings_beyond_counts_toward_the_next_bar() -> None:
    log = begun()
    for number in range(1, 6):
        trade(log, number, number / 10, qty="0.7")
    log.marker(KEY, START + MINUTE)
    bars = bars_of(log, (BarKind.VOLUME, "1"))
    assert [(bar.number, bar.trades, bar.volume, str(bar.remainder)) for bar in bars] == [
        (1, 2, Decimal("1.4"), "0.4"), (2, 1, Decimal("0.7"), "0.1"), (3, 2, Decimal("1.4"), "0.5"),
    ]  # fmt: skip


def test_a_trade_that_passes_several_multiples_closes_one_bar() -> None:
    log = begun()
    trade(log, 1, 0.1, "10", "0.05")
    trade(log, 2, 0.2, "10", "37.1")
    trade(log, 3, 0.3, "10", "2.85")
    log.marker(KEY, START + MINUTE)
    first, second = bars_of(log, (BarKind.DOLLAR, "100"))
    assert (first.trades, first.quote_volume, first.remainder) == (2, Decimal("371.5"), Decimal("71.5"))
    assert (second.number, second.trades, second.remainder) == (2, 1, 0)


def test_a_bar_comes_when_its_minute_is_over_and_not_before() -> None:
    log = begun()
    trade(log, 1, 0.1)
    core = new_core(thresholds((BarKind.TICK, "1")))
    assert not core.process(log.records)
    marker = log.marker(KEY, START + MINUTE)
    ((bar, _),) = core.process(log.records[-1:]).bars
    assert bar.revision == marker.offset


def test_trades_of_a_minute_are_folded_in_the_order_of_time_and_id_each_id_once() -> None:
    log = begun()
    for number, minute in ((9, 0.3), (10, 0.3), (2, 0.1), (9, 0.3), (2, 0.1), (3, 0.2)):
        trade(log, number, minute, price=str(number))
    log.marker(KEY, START + MINUTE)
    (bar,) = bars_of(log, (BarKind.TICK, "4"))
    assert (bar.first_trade_id, bar.last_trade_id, bar.open, bar.close) == ("2", "10", Decimal(2), Decimal(10))


def test_trades_before_the_series_begin_are_in_no_bar() -> None:
    log = Log()
    trade(log, 1, -0.5)
    begun(log)
    trade(log, 2, -0.4)
    trade(log, 3, 0.1)
    log.marker(KEY, START + MINUTE)
    (bar,) = bars_of(log, (BarKind.TICK, "1"))
    assert (bar.first_trade_id, bar.series_begin_us, bar.late_trades) == ("3", START, 0)


def test_a_minute_waits_for_the_one_before_it_until_that_is_final() -> None:
    log = begun()
    trade(log, 1, 0.5)
    trade(log, 2, 1.5)
    log.marker(KEY, START + 2 * MINUTE)  # the marker of the first minute is missing
    core = new_core(thresholds((BarKind.TICK, "1")))
    assert not core.process(log.records)
    trade(log, 3, 0.7)  # so it is not late
    log.marker(KEY, START + MINUTE * (LATENESS_MINUTES + 1))
    bars = [bar for bar, _ in core.process(log.records[-2:]).bars]
    assert [(bar.first_trade_id, bar.status, bar.late_trades) for bar in bars] == [
        ("1", "hole", 0), ("3", "hole", 0), ("2", "hole", 0),
    ]  # fmt: skip


def test_a_bar_over_a_hole_says_so_even_where_the_hole_lies_before_its_first_trade() -> None:
    log = begun()
    proofs = (Proof.IDS, Proof.CONNECTION, Proof.HOLE, Proof.IDS, Proof.IDS)
    for number, minute in enumerate((0.5, 1.5, 3.5, 4.5), start=1):
        trade(log, number, minute)
    for minute, proof in enumerate(proofs):
        log.marker(KEY, START + (minute + 1) * MINUTE, proof)
    bars = bars_of(log, (BarKind.TICK, "1"))
    assert [(bar.first_trade_id, bar.status) for bar in bars] == [
        ("1", "complete"), ("2", "connected"), ("3", "hole"), ("4", "complete"),
    ]  # fmt: skip


def test_markers_that_jump_make_a_hole_of_what_they_jump_over() -> None:
    log = begun()
    trade(log, 1, 0.5)
    log.marker(KEY, START + MINUTE)
    log.marker(KEY, START + 500 * MINUTE, Proof.BEGIN)
    trade(log, 2, 500.5)
    log.marker(KEY, START + 501 * MINUTE)
    log.marker(KEY, START + 511 * MINUTE)  # the minutes right before 500 are final only now
    assert [(bar.first_trade_id, bar.status) for bar in bars_of(log, (BarKind.TICK, "1"))] == [
        ("1", "complete"), ("2", "hole"),
    ]  # fmt: skip


@pytest.mark.parametrize(("more", "status"), [({}, "complete"), ({"takes_back": True}, "hole")])
def test_another_word_on_a_minute_brings_its_bars_again(more: dict[str, object], status: str) -> None:
    first, then = (Proof.CONNECTION, Proof.IDS) if not more else (Proof.IDS, Proof.HOLE)
    log = begun()
    trade(log, 1, 0.5)
    log.marker(KEY, START + MINUTE, first)
    trade(log, 2, 1.5)
    log.marker(KEY, START + 2 * MINUTE)
    marker = log.marker(KEY, START + MINUTE, then, **more)
    bars = bars_of(log, (BarKind.TICK, "1"))
    assert [(bar.number, bar.status, bar.revision) for bar in bars[2:]] == [  # both have something of that minute
        (1, status, marker.offset), (2, status, marker.offset),
    ]  # fmt: skip
    log.marker(KEY, START + MINUTE, then, **more)
    assert bars_of(log, (BarKind.TICK, "1")) == bars


def test_minutes_that_are_not_final_are_waited_for_even_if_later_ones_have_trades() -> None:
    log = begun()
    log.marker(KEY, START + MINUTE)
    trade(log, 9, 14.5)
    log.marker(KEY, START + 14 * MINUTE, Proof.BEGIN)  # up to minute 4 all is final
    trade(log, 5, 5.5)
    for minute in range(15, 17):
        log.marker(KEY, START + minute * MINUTE)
    for minute in range(7, 15):
        log.marker(KEY, START + minute * MINUTE)
    bars = bars_of(log, (BarKind.TICK, "1"))
    assert [(bar.first_trade_id, bar.late_trades) for bar in bars] == [("5", 0), ("9", 0)]


def test_a_final_hole_is_not_told_of_bars_behind_it() -> None:
    log = begun()
    for minute, proof in enumerate((Proof.HOLE, *[Proof.IDS] * 11)):
        trade(log, 2 * minute, minute + 0.5)
        log.marker(KEY, START + (minute + 1) * MINUTE, proof)
    trade(log, 19, 9.6)
    log.marker(KEY, START + 13 * MINUTE)
    again = bars_of(log, (BarKind.TICK, "1"))[-1]
    assert (again.number, again.late_trades, again.status) == (11, 1, "complete")


def test_a_late_trade_is_counted_on_the_closed_bar_of_its_range_at_the_next_marker() -> None:
    log = begun()
    for number, minute in ((1, 0.1), (3, 0.3), (4, 0.4), (6, 0.6), (7, 0.7)):
        trade(log, number, minute)
    log.marker(KEY, START + MINUTE)
    trade(log, 5, 0.5)
    trade(log, 5, 0.5)
    marker = log.marker(KEY, START + 2 * MINUTE)
    bars = bars_of(log, (BarKind.TICK, "2"))
    assert [(bar.number, bar.late_trades) for bar in bars] == [(1, 0), (2, 0), (2, 1)]
    assert fractions_of(bars[2]) == fractions_of(bars[1])
    assert bars[2].revision == marker.offset


def test_a_late_trade_of_the_open_bar_is_counted_on_it_and_is_not_in_it() -> None:
    log = begun()
    trade(log, 1, 0.1)
    log.marker(KEY, START + MINUTE)
    trade(log, 2, 0.5)
    trade(log, 3, 1.5)
    log.marker(KEY, START + 2 * MINUTE)
    (bar,) = bars_of(log, (BarKind.TICK, "2"))
    assert (bar.first_trade_id, bar.last_trade_id, bar.trades, bar.late_trades) == ("1", "3", 2, 1)


def test_a_trade_behind_the_final_boundary_is_on_no_bar_and_only_counted() -> None:
    log = begun()
    trade(log, 1, 0.1)
    for minute in range(1, LATENESS_MINUTES + 2):
        log.marker(KEY, START + minute * MINUTE)
    trade(log, 2, 0.5)
    log.marker(KEY, START + (LATENESS_MINUTES + 2) * MINUTE)
    outputs = new_core(thresholds((BarKind.TICK, "1"))).process(log.records)
    assert [(bar.first_trade_id, bar.late_trades) for bar, _ in outputs.bars] == [("1", 0)]
    assert (outputs.late, outputs.figures()["late"]) == (1, 1)


def test_a_bar_comes_again_only_if_another_word_on_a_minute_changes_its_own_status() -> None:
    log = begun()
    trade(log, 1, 0.5)
    trade(log, 2, 1.5)
    trade(log, 3, 2.5)
    for minute, proof in enumerate((Proof.CONNECTION, Proof.HOLE, Proof.IDS), start=1):
        log.marker(KEY, START + minute * MINUTE, proof)
    log.marker(KEY, START + MINUTE, Proof.IDS)
    bars = bars_of(log, (BarKind.TICK, "1"))
    assert [(bar.number, bar.status) for bar in bars] == [
        (1, "connected"), (2, "hole"), (3, "hole"), (1, "complete"),
    ]  # fmt: skip


def test_a_long_bar_remembers_the_worst_of_its_minutes_that_are_final() -> None:
    log = begun()
    trade(log, 1, 0.5)
    for minute in range(1, 31):
        log.marker(KEY, START + minute * MINUTE, Proof.CONNECTION if minute == 2 else Proof.IDS)
    trade(log, 2, 30.5)
    trade(log, 3, 30.6)
    trade(log, 4, 30.7)
    log.marker(KEY, START + 31 * MINUTE)
    first, second = bars_of(log, (BarKind.TICK, "2"))
    assert (first.status, second.status) == ("connected", "complete")


def test_a_late_trade_before_the_begin_of_a_newer_bar_series_is_not_counted_on_it() -> None:
    log = begun()
    trade(log, 1, 0.5)
    log.marker(KEY, START + MINUTE)
    trade(log, 2, 0.7)
    trade(log, 3, 1.5)
    log.marker(KEY, START + 2 * MINUTE)
    tick, other = (BarKind.TICK, "1"), (BarKind.VOLUME, "1")
    _, outputs = adopted(log, thresholds(tick), thresholds(tick, other))
    newer = [bar for bar, _ in outputs.bars if bar.kind is BarKind.VOLUME]
    assert [(bar.series_begin_us, bar.late_trades, bar.first_trade_id) for bar in newer] == [(START + MINUTE, 0, "3")]


def test_a_late_trade_is_not_forgotten_by_a_crash_before_the_next_marker() -> None:
    log = begun()
    trade(log, 1, 0.1)
    trade(log, 4, 0.4)
    trade(log, 5, 0.5)
    log.marker(KEY, START + MINUTE)
    core, disk = new_core(thresholds((BarKind.TICK, "2"))), Disk()
    core.process(log.records)
    disk.write(core)
    late = [trade(log, 3, 0.3), trade(log, 6, 0.6)]
    core.process(log.records[-len(late) :])
    disk.write(core)
    core = disk.read(thresholds((BarKind.TICK, "2")))
    trade(log, 7, 1.5)
    marker = log.marker(KEY, START + 2 * MINUTE)
    bars = [bar for bar, _ in core.process(log.records[-2:]).bars]
    assert [(bar.number, bar.late_trades, bar.revision) for bar in bars] == [
        (1, 1, marker.offset), (2, 1, marker.offset),
    ]  # fmt: skip


def test_held_trades_come_through_crashes_each_once() -> None:
    log, core, disk = begun(), new_core(thresholds((BarKind.TICK, "3"))), Disk()
    for number in (1, 2, 1, 3, 2):
        trade(log, number, number / 10)
        core.process(log.records[core.position :])
        disk.write(core)
        core = disk.read(thresholds((BarKind.TICK, "3")))
    trade(log, 4, 0.4)
    log.marker(KEY, START + MINUTE)
    ((bar, _),) = core.process(log.records[core.position :]).bars
    assert (bar.first_trade_id, bar.last_trade_id, bar.trades) == ("1", "3", 3)
    disk.write(core)
    assert not [key for key in disk.values if key.startswith(b'["trades"')]


def test_no_more_is_held_before_the_first_marker_than_behind_one() -> None:
    log = Log()
    for minute in range(60):
        trade(log, minute, minute + 0.5)
    core = new_core(thresholds((BarKind.TICK, "1")))
    core.process(log.records)
    (series,) = core.series.values()
    assert len(series.minutes) == LATENESS_MINUTES + 1


def test_a_revision_base_is_added_to_every_revision() -> None:
    log = begun()
    trade(log, 1, 0.5)
    marker = log.marker(KEY, START + MINUTE)
    core = new_core(thresholds((BarKind.TICK, "1")))
    core.rules = BarRules(revision_base=1000)
    assert core.process(log.records).bars[0][0].revision == 1000 + marker.offset


def test_what_is_final_is_forgotten() -> None:
    log = begun()
    for minute in range(40):
        trade(log, minute, minute + 0.5)
        log.marker(KEY, START + (minute + 1) * MINUTE)
    core, disk = new_core(thresholds((BarKind.TICK, "1"))), Disk()
    core.process(log.records)
    (series,) = core.series.values()
    (bars,) = series.bars.values()
    assert len(series.minutes) == len(bars.closed) == LATENESS_MINUTES
    disk.write(core)
    assert len(disk.values) == 1 + 1 + 1 + 2 * LATENESS_MINUTES + 1


def test_a_run_has_bars_of_its_own_and_nothing_is_left_of_it_at_its_end() -> None:
    log = begun()
    first_us = START - 1000 * MINUTE
    log.marker(KEY, first_us, Proof.BEGIN, run="r")
    trades = [make_trade(KEY, n, first_us + n * MINUTE // 2, str(n + 1)) for n in range(7)]
    for made in trades:
        log.trade(made, "r")
        if made.time_us % MINUTE:
            log.marker(KEY, made.time_us + MINUTE // 2, run="r")
    log.marker(KEY, first_us + 4 * MINUTE, run="r", end=True)
    core = new_core(thresholds((BarKind.TICK, "2")))
    bars = core.process(log.records).bars
    size = BarSize(BarKind.TICK, Decimal(2))
    assert [fractions_of(bar) for bar in of_market(bars, KEY, size, "r")] == expected_bars(trades, size)
    assert len(bars) == 3
    again = core.process([record._replace(offset=record.offset + 100) for record in log.records[1:]])
    assert (again.bars, again.late) == ([], 0)
    log.trade(make_trade(KEY, 99, first_us + 5 * MINUTE, "1"), "r")  # behind its end
    core.process([log.records[-1]._replace(offset=200)])
    disk = Disk()
    disk.write(core)
    assert [key for key in disk.values if b'"r"' in key] == [b'["series","sim:AAA-USD","r"]']


def test_a_start_in_mid_log_begins_after_the_first_append_time_and_two_minutes() -> None:
    log = begun()
    for minute in range(8):
        trade(log, minute, minute + 0.5)
        log.marker(KEY, START + (minute + 1) * MINUTE)
    core = new_core(thresholds((BarKind.TICK, "1")), position=2, awaits_floor=True)
    first = core.process(log.records[2:]).bars[0][0]
    assert (first.series_begin_us, first.number) == (START + 3 * MINUTE, 1)


def adopted(log: Log, before: BarThresholds, after: BarThresholds) -> tuple[BarCore, BarOutputs]:
    """What comes when other thresholds were given behind the log's third record."""
    core, disk = new_core(before), Disk()
    core.process(log.records[:3])
    disk.write(core)
    core = disk.read(after)
    return core, core.process(log.records[3:])


def half_read() -> Log:
    log = begun()
    trade(log, 1, 0.2)
    trade(log, 2, 0.4)  # other thresholds from here on
    trade(log, 3, 0.6)
    for minute in range(1, 6):
        log.marker(KEY, START + minute * MINUTE)
        trade(log, 10 + minute, minute + 0.5)
    return log


def test_a_new_threshold_begins_with_the_first_minute_that_is_not_folded_and_others_go_on() -> None:
    tick, other = (BarKind.TICK, "2"), (BarKind.VOLUME, "3")
    _, outputs = adopted(half_read(), thresholds(tick), thresholds(tick, other))
    bars = [bar for bar, _ in outputs.bars]
    assert [(bar.kind, bar.number, bar.first_trade_id) for bar in bars][:2] == [("tick", 1, "1"), ("volume", 1, "1")]
    assert {bar.series_begin_us for bar in bars} == {START}


def test_a_threshold_that_is_gone_leaves_nothing() -> None:
    core, outputs = adopted(half_read(), thresholds((BarKind.TICK, "2")), thresholds((BarKind.VOLUME, "3")))
    assert {bar.kind for bar, _ in outputs.bars} == {"volume"}
    disk = Disk()
    disk.write(core)
    assert not [key for key in disk.values if b'"tick"' in key]


def test_a_market_that_is_new_in_the_file_begins_as_in_mid_log_and_one_that_is_gone_leaves_nothing() -> None:
    log = half_read()
    core, outputs = adopted(log, thresholds((BarKind.TICK, "2"), key=KEYS[1]), thresholds((BarKind.TICK, "1")))
    assert outputs.bars[0][0].series_begin_us == START + 3 * MINUTE
    gone, _ = adopted(log, thresholds((BarKind.TICK, "2")), thresholds((BarKind.TICK, "1"), key=KEYS[1]))
    assert not gone.series
    assert [key for key, value in gone.changes() if value is None]
    assert core.has_new_thresholds  # so the first commit holds a checkpoint


def test_other_thresholds_count_from_the_first_record_on_that_is_not_committed() -> None:
    log = half_read()
    core, disk = new_core(thresholds((BarKind.TICK, "1"), key=KEYS[1])), Disk()
    disk.write(core)
    core = disk.read(thresholds((BarKind.TICK, "1")), resumes_at=5)
    assert not core.process(log.records[:5])
    assert not core.series
    assert core.process(log.records[5:]).bars[0][0].series_begin_us == START + 4 * MINUTE


def test_records_of_other_markets_are_passed_over_whatever_is_in_them() -> None:
    log = begun()
    for key, value in ((KEYS[1], b"{"), (None, b"{}"), ("no market", b""), (KEYS[2], b"null")):
        log.append(key, value)
    log.append(KEY, None, [("roll", b"1")])
    outputs = new_core(thresholds((BarKind.TICK, "1"))).process(log.records)
    assert not outputs.dead


def test_what_is_refused_of_a_market_with_bars_is_a_dead_letter() -> None:
    log = begun()
    log.append(KEY, b"{")
    log.append(KEY, encode_trade(make_trade(KEYS[1], 1, START, "1")))
    log.append(KEY, encode_trade(make_trade(KEY, 1, START + 60 * MINUTE, "1")))
    log.append(KEY, None, [("proof", b"ids")])
    core = new_core(thresholds((BarKind.TICK, "1")))
    errors = [error for _, error in core.process(log.records).dead]
    assert len(errors) == 4
    assert isinstance(errors[2], AheadError)
    assert core.position == len(log.records)
    core.partitions, core.partition = 12, 11
    core._markets.clear()  # each key is looked at once
    assert isinstance(core.process(log.records[-1:]).dead[0][1], MisplacedError)
