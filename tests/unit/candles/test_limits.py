"""Where the rules end: what they can't make right, they say; each as small as it gets."""

from market_log import KEYS, MINUTE, START, Log, make_trade

from market.candle import Candle
from market.trade import Proof
from processors.candles.core import Core, Rules

KEY = KEYS[0]
RUN = "run-1"


def candles_from(log: Log, offset: int) -> list[Candle]:
    core = Core(partition=0, partitions=1, position=offset, rules=Rules(), awaits_floor=offset > 0)
    return [candle for candle, _ in core.process(log.records[offset:]).candles]


def test_two_feeds_that_start_before_either_wrote_progress_the_first_of_which_dies_leave_a_hole_that_says_so() -> None:
    log = Log()
    log.marker(KEY, START, Proof.BEGIN)  # the first feed promises the minute from here on,
    log.trade(make_trade(KEY, 1, START + 1, "5"))  # publishes some of it, and dies
    log.marker(KEY, START + MINUTE, Proof.BEGIN)  # the second knew of nothing that it should have fetched again
    log.trade(make_trade(KEY, 9, START + MINUTE + 1, "7"))
    for minute in range(2, 13):
        log.marker(KEY, START + minute * MINUTE)
    by_minute = {(candle.open_time_ms * 1000 - START) // MINUTE: candle for candle in candles_from(log, 0)}
    assert [by_minute[minute].status for minute in (0, 1, 2)] == ["hole", "complete", "complete"]
    assert by_minute[0].trades == 1


def test_a_run_published_twice_at_once_differs_on_a_replay_from_between_until_the_second_has_told_it_all() -> None:
    log, old = Log(), START - 1_000 * MINUTE
    log.marker(KEY, old, Proof.BEGIN, run=RUN)
    log.trade(make_trade(KEY, 1, old + 1, "5"), RUN)
    between = log.marker(KEY, old, Proof.BEGIN, run=RUN).offset  # the other publisher of the same run begins
    log.trade(make_trade(KEY, 2, old + 2, "6"), RUN)
    first = log.marker(KEY, old + MINUTE, run=RUN).offset
    for number, price in ((1, "5"), (2, "6")):
        log.trade(make_trade(KEY, number, old + number, price), RUN)
    second = log.marker(KEY, old + MINUTE, run=RUN, end=True).offset

    (whole,) = candles_from(log, 0)
    half, repaired = candles_from(log, between)
    assert (whole.revision, whole.trades) == (first, 2)
    assert (half.revision, half.trades) == (first, 1)  # same revision, other bytes: why publishers refuse this
    assert (repaired.revision, repaired.trades) == (second, 2)
    assert (repaired.open, repaired.close, repaired.volume) == (whole.open, whole.close, whole.volume)
