"""The rules of the design's section "Candles", one by one."""

from decimal import Decimal

import pytest
from market_log import KEYS, MINUTE, START, Log, make_trade

from market.candle import Candle
from market.codec import encode_trade
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.trade import Proof, Side
from processors.candles.core import CloseOn, Core, Outputs, Rules
from processors.engine.input import AheadError, MisplacedError

KEY = KEYS[0]
T0 = START


def run_log(log: Log, **rules: object) -> Outputs:
    core = Core(partition=0, partitions=1, position=0, rules=Rules(**rules), awaits_floor=False)
    return core.process(log.records)


def minutes(outputs: Outputs) -> list[tuple[int, str, str, int]]:
    """(minute since T0, status, close, revision) of each candle, in order."""
    return [
        ((c.open_time_ms * 1000 - T0) // MINUTE, c.status.value, str(c.close), c.revision) for c, _ in outputs.candles
    ]


def begun(price: str | None = None) -> Log:
    """A log with one series that begins at T0."""
    log = Log()
    log.marker(KEY, T0, Proof.BEGIN, **({} if price is None else {"last_price": make_trade(KEY, 0, 0, price).price}))
    return log


def at(minute: float) -> int:
    return T0 + int(minute * MINUTE)


def test_a_series_begins_at_the_first_whole_minute_after_published_until() -> None:
    log = Log()
    log.marker(KEY, at(0), Proof.IDS, published_until_us=at(0.5))
    log.trade(make_trade(KEY, 1, at(0.6), "1"))
    log.trade(make_trade(KEY, 2, at(1.1), "2"))
    log.marker(KEY, at(1))
    log.marker(KEY, at(2))
    assert minutes(run_log(log)) == [(1, "complete", "2", 4)]


def test_trades_before_the_series_began_are_in_no_candle_and_not_late() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(-0.5), "9"))
    log.trade(make_trade(KEY, 2, at(0.5), "1"))
    log.marker(KEY, at(1))
    outputs = run_log(log)
    assert (minutes(outputs), outputs.late) == ([(0, "complete", "1", 3)], [])


@pytest.mark.parametrize(
    ("proof", "status"),
    [(Proof.IDS, "complete"), (Proof.CONNECTION, "connected"), (Proof.HOLE, "hole")],
)
def test_status_is_what_the_proof_says(proof: Proof, status: str) -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(1), proof)
    assert minutes(run_log(log)) == [(0, status, "1", 2)]


def test_begin_closes_nothing() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(1), Proof.BEGIN)
    assert minutes(run_log(log)) == []


def test_a_better_proof_is_a_new_revision_and_a_worse_one_is_nothing() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(1), Proof.CONNECTION)
    log.marker(KEY, at(1), Proof.HOLE)
    log.marker(KEY, at(1), Proof.IDS)
    assert minutes(run_log(log)) == [(0, "connected", "1", 2), (0, "complete", "1", 4)]


def test_a_late_trade_within_the_allowed_lateness_is_a_new_revision_at_the_next_marker() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.1), "1"))
    log.marker(KEY, at(1))
    log.trade(make_trade(KEY, 2, at(0.9), "5"))
    log.trade(make_trade(KEY, 2, at(0.9), "5"))
    log.trade(make_trade(KEY, 3, at(1.5), "6"))
    log.marker(KEY, at(2))
    assert minutes(run_log(log)) == [(0, "complete", "1", 2), (0, "complete", "5", 6), (1, "complete", "6", 6)]


def test_a_duplicate_changes_nothing() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.1), "1"))
    log.marker(KEY, at(1))
    log.trade(make_trade(KEY, 1, at(0.1), "1"))
    log.marker(KEY, at(1))
    assert minutes(run_log(log)) == [(0, "complete", "1", 2)]


def test_a_live_trade_behind_the_final_boundary_goes_to_late() -> None:
    log = begun()
    for minute in range(1, 13):
        log.trade(make_trade(KEY, minute, at(minute - 0.5), "1"))
        log.marker(KEY, at(minute))
    late = log.trade(make_trade(KEY, 99, at(1.9), "7"))
    log.trade(make_trade(KEY, 98, at(2.0), "8"))
    log.marker(KEY, at(13))
    outputs = run_log(log)
    assert [record.offset for record in outputs.late] == [late.offset]
    assert (2, "complete", "1", log.records[-1].offset) in minutes(outputs)
    assert not any(minute == 1 for minute, _, _, revision in minutes(outputs) if revision > late.offset)


def test_a_live_minute_that_reaches_the_final_boundary_without_its_marker_comes_out_as_hole() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    jump = log.marker(KEY, at(13)).offset
    assert minutes(run_log(log)) == [
        (0, "hole", "1", jump),
        (1, "hole", "1", jump),
        (2, "hole", "1", jump),
        (12, "complete", "1", jump),
    ]


def test_markers_behind_the_final_boundary_are_ignored() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(13))
    log.marker(KEY, at(3))
    log.marker(KEY, at(1))
    assert {revision for *_, revision in minutes(run_log(log))} == {2}


def test_begin_moves_the_final_boundary_like_any_marker() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(11), Proof.BEGIN)
    assert minutes(run_log(log)) == [(0, "hole", "1", 2)]


def test_a_minute_without_trades_is_flat_at_the_close_before_it() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "4.25"))
    log.marker(KEY, at(1))
    log.marker(KEY, at(2))
    ((_, _), (flat, _)) = run_log(log).candles
    assert flat == Candle(
        exchange="sim", symbol="AAA-USD", timeframe="1m",
        open_time_ms=at(1) // 1000, close_time_ms=at(2) // 1000 - 1,
        open=flat.close, high=flat.close, low=flat.close, close=make_trade(KEY, 0, 0, "4.25").price,
        volume=flat.volume * 0, quote_volume=flat.volume * 0, trades=0,
        taker_buy_volume=flat.volume * 0, taker_buy_quote_volume=flat.volume * 0,
        first_trade_id=None, last_trade_id=None, revision=3, status=flat.status,
    )  # fmt: skip


def test_a_changed_close_before_a_flat_minute_is_a_new_revision_of_it() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "4"))
    for minute in (1, 2, 3):
        log.marker(KEY, at(minute))
    log.trade(make_trade(KEY, 2, at(0.9), "5"))
    log.trade(make_trade(KEY, 3, at(3.1), "6"))
    last = log.marker(KEY, at(4)).offset
    again = [one for one in minutes(run_log(log)) if one[3] == last]
    assert [one[:3] for one in again] == [
        (0, "complete", "5"),
        (1, "complete", "5"),
        (2, "complete", "5"),
        (3, "complete", "6"),
    ]


def test_a_flat_minute_without_a_close_before_it_takes_its_own_markers_price_or_the_first_markers() -> None:
    own = begun("7")
    own.marker(KEY, at(1), last_price=make_trade(KEY, 0, 0, "8").price)
    assert minutes(run_log(own)) == [(0, "complete", "8", 1)]
    first = begun("7")
    first.marker(KEY, at(1))
    assert minutes(run_log(first)) == [(0, "complete", "7", 1)]


def test_a_key_that_never_had_a_price_has_no_candle() -> None:
    log = begun()
    log.marker(KEY, at(1))
    assert minutes(run_log(log)) == []


def test_open_and_close_are_the_least_and_greatest_by_time_then_id_as_a_number() -> None:
    log = begun()
    for number, price in ((10, "10"), (9, "9"), (100, "100"), (99, "99")):
        log.trade(make_trade(KEY, number, at(0.5), price))
    log.marker(KEY, at(1))
    ((candle, _),) = run_log(log).candles
    assert (str(candle.open), str(candle.close)) == ("9", "100")
    assert (candle.first_trade_id, candle.last_trade_id) == ("9", "100")


def test_takers_side_decides_the_taker_buy_sums() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "2", "3", Side.BUY))
    log.trade(make_trade(KEY, 2, at(0.6), "5", "7", Side.SELL))
    log.marker(KEY, at(1))
    ((candle, _),) = run_log(log).candles
    assert (str(candle.volume), str(candle.quote_volume)) == ("10", "41")
    assert (str(candle.taker_buy_volume), str(candle.taker_buy_quote_volume)) == ("3", "6")


def test_proof_kline_publishes_the_exchanges_own_kline_until_a_better_proof() -> None:
    given = GivenCandle(
        open_time_ms=T0 // 1000, open=Decimal(1), high=Decimal(9), low=Decimal(1), close=Decimal(8),
        volume=Decimal(100), trades=42,
    )  # fmt: skip
    log = Log()
    key = "binance:AAA-USD"
    log.marker(key, T0, Proof.BEGIN)
    log.trade(make_trade(key, 1, at(0.5), "2"))
    log.marker(key, at(1), Proof.KLINE, kline=given)
    log.marker(key, at(1), Proof.IDS)
    (kline, _), (own, _) = run_log(log).candles
    assert (str(kline.close), kline.trades, kline.status.value, kline.first_trade_id) == ("8", 42, "kline", None)
    assert (str(kline.volume), str(kline.quote_volume)) == ("100", "2")  # what the exchange does not tell: our trades'
    assert (str(own.close), own.trades, own.status.value, own.first_trade_id) == ("2", 1, "complete", "1")


def test_a_trade_or_marker_over_two_minutes_ahead_is_dead_lettered_and_closes_nothing() -> None:
    log = begun()
    now_ms = log.now_ms
    trade = make_trade(KEY, 1, now_ms * 1000 + 2 * MINUTE + 1, "1")
    log.append(KEY, encode_trade(trade))
    log.append(KEY, encode_trade(make_trade(KEY, 2, now_ms * 1000 + 2 * MINUTE, "1")))
    marker = log.marker(KEY, at(3))
    log.records[-1] = marker._replace(timestamp=now_ms)
    outputs = run_log(log)
    assert [(record.offset, type(error)) for record, error in outputs.dead] == [(1, AheadError), (3, AheadError)]
    assert outputs.candles == []


def test_a_key_that_does_not_belong_in_the_partition_is_dead_lettered() -> None:
    log = begun()
    core = Core(partition=0, partitions=12, position=0, rules=Rules(), awaits_floor=False)
    ((_, error),) = core.process(log.records).dead
    assert isinstance(error, MisplacedError)


def test_a_record_whose_key_and_value_differ_is_dead_lettered() -> None:
    log = begun()
    log.append(KEYS[1], encode_trade(make_trade(KEY, 1, at(0.5), "1")))
    assert len(run_log(log).dead) == 1


def test_records_with_neither_value_nor_marker_headers_are_skipped() -> None:
    log = begun()
    log.append(None, None, [("roll", b"1")])
    log.append(KEY, None)
    assert run_log(log) == Outputs()


def test_a_run_is_a_series_of_its_own_and_its_candles_say_so() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(0), Proof.BEGIN, run="r")
    log.trade(make_trade(KEY, 7, at(0.5), "9"), run="r")
    log.marker(KEY, at(1), run="r", end=True)
    log.marker(KEY, at(1))
    assert [(str(c.close), run) for c, run in run_log(log).candles] == [("9", "r"), ("1", None)]


def test_a_runs_trade_behind_its_final_boundary_is_dropped_not_late() -> None:
    log = Log()
    log.marker(KEY, at(0), Proof.BEGIN, run="r")
    log.trade(make_trade(KEY, 1, at(0.5), "1"), run="r")
    log.marker(KEY, at(1), run="r", end=True)
    log.trade(make_trade(KEY, 2, at(0.6), "2"), run="r")
    outputs = run_log(log)
    assert (len(outputs.candles), outputs.late, outputs.dead) == (1, [], [])


def test_minutes_of_a_run_without_their_own_marker_never_come_out() -> None:
    log = Log()
    log.marker(KEY, at(0), Proof.BEGIN, run="r")
    log.trade(make_trade(KEY, 1, at(0.5), "1"), run="r")
    log.trade(make_trade(KEY, 2, at(1.5), "2"), run="r")
    log.trade(make_trade(KEY, 3, at(14.5), "3"), run="r")
    log.marker(KEY, at(2), run="r")
    log.marker(KEY, at(15), run="r", end=True)
    assert [one[0] for one in minutes(run_log(log))] == [1, 14]


def test_a_flat_minute_of_a_run_takes_the_close_right_before_only_where_that_had_its_marker() -> None:
    price = make_trade(KEY, 0, 0, "70").price
    log = Log()
    log.marker(KEY, at(0), Proof.BEGIN, run="r")
    log.trade(make_trade(KEY, 1, at(0.5), "1"), run="r")
    log.trade(make_trade(KEY, 2, at(1.5), "2"), run="r")
    log.marker(KEY, at(1), run="r")
    log.marker(KEY, at(3), run="r", last_price=price)
    log.marker(KEY, at(4), run="r", end=True)
    assert [(m, close) for m, _, close, _ in minutes(run_log(log))] == [(0, "1"), (2, "70"), (3, "70")]


def test_an_ended_run_leaves_one_small_record() -> None:
    log = Log()
    log.marker(KEY, at(0), Proof.BEGIN, run="r")
    log.trade(make_trade(KEY, 1, at(0.5), "1"), run="r")
    log.marker(KEY, at(1), run="r", end=True)
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    core.process(log.records)
    assert core.series[MarketKey.parse(KEY), "r"].minutes == {}


def test_after_a_start_in_mid_log_no_live_series_begins_before_the_append_time_plus_two_minutes() -> None:
    log = Log()
    for minute in range(6):
        log.trade(make_trade(KEY, minute, at(minute + 0.5), str(minute + 1)))
        log.marker(KEY, at(minute + 1))
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=True)
    outputs = core.process(log.records)
    assert core.floor_us == at(3)
    assert [one[0] for one in minutes(outputs)] == [3, 4, 5]


def test_after_a_start_in_mid_log_minutes_before_the_series_first_trade_do_not_come_out() -> None:
    log = Log()
    price = make_trade(KEY, 0, 0, "70").price
    for minute in range(8):
        if minute == 5:
            log.trade(make_trade(KEY, minute, at(minute + 0.5), "5"))
        log.marker(KEY, at(minute + 1), last_price=price)
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=True)
    assert [(m, close) for m, _, close, _ in minutes(core.process(log.records))] == [(5, "5"), (6, "5"), (7, "5")]


def test_a_way_of_closing_is_said_as_the_option_shows_it() -> None:
    assert [kind.value for kind in CloseOn] == [kind.name.lower().replace("_", "-") for kind in CloseOn]


def test_close_on_event_time_closes_on_the_keys_own_time_less_a_grace() -> None:
    log = Log()
    log.trade(make_trade(KEY, 1, at(-0.5), "1"))
    log.trade(make_trade(KEY, 2, at(0.5), "2"))
    log.trade(make_trade(KEY, 3, at(1) + 1_000_000, "3"))
    closing = log.trade(make_trade(KEY, 4, at(1) + 2_000_000, "4"))
    log.trade(make_trade(KEY, 5, at(3) + 2_000_000, "5"))
    outputs = run_log(log, close_on=CloseOn.EVENT_TIME)
    assert minutes(outputs) == [
        (0, "connected", "2", closing.offset),
        (1, "connected", "4", 4),
        (2, "connected", "4", 4),
    ]


def test_revision_base_is_added_to_every_revision() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    log.marker(KEY, at(1))
    assert minutes(run_log(log, revision_base=1000)) == [(0, "complete", "1", 1002)]


def test_the_live_candle_is_the_newest_open_minute_when_it_changed() -> None:
    log = begun()
    log.trade(make_trade(KEY, 1, at(0.5), "1"))
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    core.process(log.records)
    series = core.series[MarketKey.parse(KEY), None]
    candle = series.open_candle()
    assert candle is not None
    assert (str(candle.close), candle.revision, candle.status.value) == ("1", 1, "open")
    assert series.open_candle() is None


def test_a_marker_can_take_back_what_was_said_of_its_minute() -> None:
    log = begun("1")
    log.marker(KEY, at(1))
    log.marker(KEY, at(2))
    log.marker(KEY, at(1), Proof.HOLE)  # the best that was said counts
    log.marker(KEY, at(1), Proof.HOLE, takes_back=True)
    log.marker(KEY, at(1), Proof.HOLE, takes_back=True)  # nothing new
    assert minutes(run_log(log)) == [(0, "complete", "1", 1), (1, "complete", "1", 2), (0, "hole", "1", 4)]


def test_what_was_taken_back_can_be_proved_again_and_not_behind_the_final_boundary() -> None:
    log = begun("1")
    log.marker(KEY, at(1))
    log.marker(KEY, at(1), Proof.HOLE, takes_back=True)
    log.marker(KEY, at(1))
    log.marker(KEY, at(11))
    log.marker(KEY, at(1), Proof.HOLE, takes_back=True)
    assert [m for m in minutes(run_log(log)) if m[0] == 0] == [
        (0, "complete", "1", 1), (0, "hole", "1", 2), (0, "complete", "1", 3)
    ]  # fmt: skip
