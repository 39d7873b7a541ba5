"""What is told of injected anomalies, and that it is the same however the log is read, and after every restart."""

import contextlib
import math
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from many_markets import (
    DAY_MS,
    MIDNIGHT_MS,
    MINUTE_MS,
    PARTITIONS,
    MarketsLog,
    QuietMarkets,
    candle,
    only,
    read_all,
    told_by,
)

from market.codec import decode_signal, encode_signal
from market.errors import MalformedError
from market.signal import Severity, Signal, SignalState
from processors.signals.core import LOOK_BACK_MS, SignalCore
from processors.signals.merge import END_MS
from processors.signals.reading import SignalReading
from processors.signals.rules import rules_of

MARKETS = [f"{exchange}:{base}-USDT" for exchange in ("binance", "kraken", "okx") for base in ("BTC", "ETH")]
MIDNIGHT = MIDNIGHT_MS // MINUTE_MS
RULES = rules_of({
    "correlation": {"pairs": [["binance:BTC-USDT", "kraken:BTC-USDT"]], "windows_minutes": [60]},
    "correlation_matrix": {"window_minutes": 60},
})  # fmt: skip


def quiet_log(*, before: int, after: int, odd: dict[tuple[str, int], dict[str, Any]] | None = None) -> MarketsLog:
    """So many minutes before and after a midnight; `odd` counts minutes from that midnight."""
    markets, log = QuietMarkets(MARKETS), MarketsLog()
    markets.odd = {(market, MIDNIGHT + number): what for (market, number), what in (odd or {}).items()}
    markets.write(log, range(MIDNIGHT - before, MIDNIGHT + after))
    return log


def spans(signals: Iterable[Signal]) -> list[tuple[int, str, str, str]]:
    """Minute from midnight, key, state, severity."""
    return [
        ((s.time_ms - MIDNIGHT_MS) // MINUTE_MS - 1, s.key, s.state.value, s.severity.value)
        for s in signals
        if s.state is not SignalState.INFO
    ]


def test_a_quiet_market_has_no_signals_but_the_regular_ones() -> None:
    signals = told_by(quiet_log(before=400, after=60), RULES)
    assert {signal.kind for signal in signals} == {"correlation", "correlation_matrix"}


def test_twenty_times_the_volume_is_told_with_its_numbers() -> None:
    log = quiet_log(before=300, after=5, odd={("okx:ETH-USDT", 2): {"volume": 20}})
    begun, ended = only(told_by(log), "volume_zscore")
    assert spans([begun, ended]) == [(2, "okx:ETH-USDT", "begin", "info"), (3, "okx:ETH-USDT", "end", "info")]
    (record,) = [
        r
        for _, r in log.in_order()
        if r.key == b"okx:ETH-USDT" and r.fields["open_time_ms"] == MIDNIGHT_MS + 2 * MINUTE_MS
    ]
    assert begun.values["volume"] == Decimal(record.fields["volume"])
    assert begun.revision == record.fields["revision"]
    assert begun.values["minutes"] == 302
    score = (math.log(begun.values["volume"]) - math.log(begun.values["center"])) / float(begun.values["log_deviation"])
    assert float(begun.values["score"]) == pytest.approx(score, abs=1e-4)


def test_a_jump_of_the_price_is_told_once_for_each_way() -> None:
    jump = {
        (f"{exchange}:BTC-USDT", number): {"close": 1.03}
        for exchange in ("binance", "kraken", "okx")
        for number in range(3, 9)
    }
    signals = list(only(told_by(quiet_log(before=300, after=12, odd=jump)), "return_zscore"))
    assert spans(s for s in signals if s.exchange == "okx") == [
        (3, "okx:BTC-USDT", "begin", "critical"), (4, "okx:BTC-USDT", "end", "critical"),
        (9, "okx:BTC-USDT", "begin", "critical"), (10, "okx:BTC-USDT", "end", "critical"),
    ]  # fmt: skip
    assert signals[0].values["log_return"] == pytest.approx(Decimal("0.03"), abs=Decimal("0.002"))


def test_a_halted_exchange_is_told_of_each_of_its_markets_and_of_no_other() -> None:
    halted = {(f"kraken:{base}-USDT", number): {"absent": True} for base in ("BTC", "ETH") for number in range(10, 50)}
    told = spans(only(told_by(quiet_log(before=300, after=60, odd=halted)), "stale"))
    assert told == [
        (number, f"kraken:{base}-USDT", state, severity)
        for number, state, severity in ((19, "begin", "info"), (39, "begin", "warning"), (50, "end", "warning"))
        for base in ("BTC", "ETH")
    ]


@pytest.mark.parametrize("silent", [{"trades": 0}, {"status": "hole"}])
def test_minutes_without_trades_and_holes_are_silent(silent: dict[str, Any]) -> None:
    odd = {("kraken:BTC-USDT", number): silent for number in range(10, 30)}
    told = spans(only(told_by(quiet_log(before=300, after=40, odd=odd)), "stale"))
    assert told == [(19, "kraken:BTC-USDT", "begin", "info"), (30, "kraken:BTC-USDT", "end", "info")]


def test_one_exchange_off_by_a_percent_is_the_outlier_and_worth_a_trade() -> None:
    odd = {("kraken:ETH-USDT", number): {"close": 0.989} for number in range(4, 7)}
    signals = told_by(quiet_log(before=300, after=10, odd=odd))
    assert spans(only(signals, "price_outlier")) == [
        (4, "kraken:ETH-USDT", "begin", "warning"), (7, "kraken:ETH-USDT", "end", "warning"),
    ]  # fmt: skip
    spreads = list(only(signals, "spread"))
    assert [(s.key, s.other, s.state.value) for s in spreads] == [
        ("kraken:ETH-USDT", other, state)
        for state in ("begin", "end")
        for other in ("binance:ETH-USDT", "okx:ETH-USDT")
    ]
    values = spreads[0].values
    fee = 1 + float(values["fees_bps"]) / 20_000
    left = (float(values["sold"]) * (2 - fee) / (float(values["bought"]) * fee) - 1) * 10_000
    assert float(values["spread_bps"]) == pytest.approx(left, abs=1e-4)


def test_fees_are_those_of_the_exchanges() -> None:
    odd = {("kraken:ETH-USDT", 4): {"close": 0.989}}
    rules = rules_of({"spread": {"default_fee_bps": 5, "fees_bps": {"kraken": 80, "okx": 30}}})
    (begun,) = [
        s
        for s in only(told_by(quiet_log(before=10, after=6, odd=odd), rules), "spread")
        if s.state is SignalState.BEGIN
    ]
    assert (begun.key, begun.other) == ("kraken:ETH-USDT", "binance:ETH-USDT")
    assert begun.values["fees_bps"] == 85


def test_a_wilder_and_a_calmer_hour_are_told() -> None:
    markets, log = QuietMarkets(MARKETS[:1]), MarketsLog()
    markets.wild = {MIDNIGHT + 60: 4.0, MIDNIGHT + 120: 1.0, MIDNIGHT + 300: 0.1, MIDNIGHT + 400: 1.0}
    markets.write(log, range(MIDNIGHT - 600, MIDNIGHT + 480))
    told = list(only(told_by(log), "volatility_regime"))
    assert [s.state.value for s in told if s.values["ratio"] > 1][:2] == ["begin", "begin"]
    wild = [number for number, *_ in spans(told)]
    assert 60 < wild[0] < 120 < wild[2] < 190
    assert any(s.state is SignalState.BEGIN and s.values["ratio"] < Decimal("0.25") for s in told)
    assert told[-1].state is SignalState.END


def test_a_market_of_huge_and_one_of_tiny_amounts_are_told_alike() -> None:
    huge, tiny = MARKETS[:2]
    log = MarketsLog()
    at = random.Random(1)
    for number in range(-300, 3):
        factor = 60.0 if number == 1 else 1.0
        for market, price, amount in ((huge, 3e-7, 4e13), (tiny, 9e13, 2e-5)):
            moved = price * (1 + 1e-3 * at.gauss(0, 1)) * (1.2 if number == 1 else 1)
            volume = amount * math.exp(at.gauss(0, 0.5)) * factor
            value = candle(market, MIDNIGHT + number, 1, 1, number + 301, **{
                **dict.fromkeys(("open", "high", "low", "close"), f"{moved:.15f}"), "volume": f"{volume:.9f}",
                "quote_volume": f"{moved * volume:.9f}",
            })  # fmt: skip
            log.append(market, value, MIDNIGHT_MS + (number + 1) * MINUTE_MS + 100)
    signals = told_by(log)
    for market in (huge, tiny):
        assert {"volume_zscore", "return_zscore"} <= {signal.kind for signal in signals if signal.key == market}
    for signal in signals:
        assert decode_signal(encode_signal(signal)) == signal


def test_conditions_begin_anew_at_midnight() -> None:
    odd = {("kraken:BTC-USDT", number): {"close": 1.012} for number in range(-5, 5)}
    told = spans(only(told_by(quiet_log(before=300, after=10, odd=odd)), "price_outlier"))
    assert told == [
        (number, "kraken:BTC-USDT", state, "warning") for number, state in ((-5, "begin"), (0, "begin"), (5, "end"))
    ]


def test_a_corrected_minute_changes_what_comes_later_and_nothing_that_was_told() -> None:
    log = quiet_log(before=300, after=2)
    plain = told_by(log, RULES)
    market = MARKETS[0]
    for number in range(-200, 0):  # most of its day was ten times as busy, somebody finds
        value = candle(market, MIDNIGHT + number, 100.0, 10_000.0, 10**9)
        log.append(market, value, log.now_ms, (("run", b"r"),))
    QuietMarkets(MARKETS, seed=2).write(log, range(MIDNIGHT + 2, MIDNIGHT + 8))
    told = told_by(log, RULES)
    assert told[: len(plain)] == plain
    signal = next(s for s in told if s.kind == "correlation_matrix" and s.time_ms > MIDNIGHT_MS + 2 * MINUTE_MS)
    before = next(s for s in plain if s.kind == "correlation_matrix" and s.time_ms == MIDNIGHT_MS)
    assert signal.values != before.values


def test_a_run_ahead_of_live_minutes_and_lower_revisions_change_nothing() -> None:
    log = quiet_log(before=30, after=10)
    core, twin = SignalCore(RULES, PARTITIONS), SignalCore(RULES, PARTITIONS)
    told: list[Signal] = []
    expected: list[Signal] = []
    for partition, record in log.in_order():
        expected += twin.pass_time(record.timestamp) + twin.take(record, partition, record.timestamp)
        told += core.pass_time(record.timestamp) + core.take(record, partition, record.timestamp)
        minute = record.fields["open_time_ms"] // MINUTE_MS
        market = record.key.decode()
        for value, headers in (
            (candle(market, minute, 5.0, 5.0, 0), ()),
            (candle(market, minute + 1, 5.0, 5.0, 10**9), (("run", b"r"),)),
            (candle(market, minute - 2000, 5.0, 5.0, 10**9), ()),
        ):
            again = record._replace(value=value, headers=headers)
            assert core.take(again, partition, record.timestamp) == []
        assert core.take(record._replace(value=None), partition, record.timestamp) == []
    assert told == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"close": "0"}, "close is 0"),
        ({"low": "101"}, "not from low"),
        ({"timeframe": "3m", "open_time_ms": 0, "close_time_ms": 179_999}, "a 3m candle"),
        ({"open_time_ms": MIDNIGHT_MS + 3 * MINUTE_MS, "close_time_ms": MIDNIGHT_MS + 4 * MINUTE_MS - 1}, "opens at"),
        ({"symbol": "ETH-USDT"}, "key"),
    ],
)
def test_bad_input_is_refused_with_its_reason_and_changes_nothing(fields: dict[str, Any], said: str) -> None:
    log = MarketsLog()
    log.append("binance:BTC-USDT", candle("binance:BTC-USDT", MIDNIGHT - 1, 100, 1, 1, **fields), MIDNIGHT_MS)
    ((partition, record),) = log.in_order()
    core = SignalCore(RULES, PARTITIONS)
    with pytest.raises(MalformedError, match=said):
        core.take(record, partition, MIDNIGHT_MS)
    assert core.needs_since_ms() is None
    reading = SignalReading(core, dict.fromkeys(log.partitions, 0), None)
    reading.add(partition, [record])
    for other in log.partitions:
        reading.know(other, 1, END_MS)
    (refused,) = reading.step().refused
    assert (refused.partition, refused.record) == (partition, record)


def test_every_signal_is_a_record() -> None:
    odd = {("kraken:BTC-USDT", 3): {"close": 1.02, "volume": 50}}
    signals = told_by(quiet_log(before=300, after=10, odd=odd), RULES)
    assert {"volume_zscore", "return_zscore", "price_outlier", "spread", "correlation"} <= {s.kind for s in signals}
    for signal in signals:
        assert decode_signal(encode_signal(signal)) == signal


FEW = [*MARKETS[:1], *MARKETS[2:5]]


class LongLog(NamedTuple):
    """A log of a day before midnight and some hours after it, and what is told of it."""

    log: MarketsLog
    told: list[Signal]
    counts: list[int]
    """How many signals are told once so many records are taken in."""


@pytest.fixture(scope="module")
def long_log() -> LongLog:
    """With anomalies, late and absent minutes, runs and noise."""
    at = random.Random(5)
    markets, log = QuietMarkets(FEW), MarketsLog()
    for number in range(-1600, 150):
        if at.random() < 0.1:
            what = at.choice([{"close": 1.01}, {"volume": 30}, {"trades": 0}, {"status": "hole"}])
            markets.odd[at.choice(FEW), MIDNIGHT + number] = what
    for number in (*range(-30, 20), *range(60, 75)):
        markets.odd["okx:BTC-USDT", MIDNIGHT + number] = {"absent": True}
    for number in range(-1600, 150):
        if not 100 <= number < 103:  # nobody has these
            markets.write(log, [MIDNIGHT + number])
        if at.random() < 0.1:
            market, minute = at.choice(FEW), MIDNIGHT + number - at.randint(0, 40)
            headers = at.choice([(), (("run", b"r"),)])
            price, amount = at.uniform(50, 60), at.uniform(1, 99)
            value = candle(market, minute, price, amount, 10**7 + number, trades=at.choice((0, 5)))
            log.append(market, value, log.now_ms + at.randint(0, 9000), headers)
        if at.random() < 0.02:
            log.append(at.choice(FEW), at.choice([None, b"{"]), log.now_ms)
    core, told, counts = SignalCore(RULES, PARTITIONS), list[Signal](), [0]
    for partition, record in log.in_order():
        told += core.pass_time(record.timestamp)
        with contextlib.suppress(MalformedError):
            told += core.take(record, partition, record.timestamp)
        counts.append(len(told))
    return LongLog(log, told, counts)


@pytest.mark.parametrize("most", [5, 5000])
def test_other_batches_and_another_order_of_reading_tell_the_same(long_log: LongLog, most: int) -> None:
    assert {"volume_zscore", "return_zscore", "stale", "spread", "correlation"} <= {s.kind for s in long_log.told}
    told = read_all(long_log.log, RULES, random.Random(most), most=most)
    assert encoded(told) == encoded(long_log.told)[: len(long_log.told)]


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_tells_on_as_if_nothing_had_happened(long_log: LongLog, seed: int) -> None:
    at = random.Random(seed)
    ordered = long_log.log.in_order()
    cut = at.randrange(next(i for i, (_, r) in enumerate(ordered) if r.timestamp > MIDNIGHT_MS), len(ordered))
    committed = dict.fromkeys(long_log.log.partitions, 0)
    for partition, record in ordered[:cut]:
        committed[partition] = record.offset + 1
    since_ms = MIDNIGHT_MS - LOOK_BACK_MS
    assert ordered[0][1].timestamp < since_ms
    rest = read_all(long_log.log, RULES, at, told=committed, since_ms=since_ms)
    assert encoded(rest) == encoded(long_log.told[long_log.counts[cut] :])


def test_a_minute_ends_as_the_log_clock_goes_on_but_not_because_reading_ends() -> None:
    log = quiet_log(before=70, after=0)
    waiting = "kraken:BTC-USDT"
    log.append(waiting, candle(waiting, MIDNIGHT + 4, 100.0, 1.0, 10**9), MIDNIGHT_MS + 5 * MINUTE_MS)
    told: dict[str, list[Signal]] = {}
    for until_ms in (END_MS, log.now_ms + 19_999, log.now_ms + 20_000):
        reading = SignalReading(SignalCore(RULES, PARTITIONS), dict.fromkeys(log.partitions, 0), None)
        for partition, records in log.partitions.items():
            reading.add(partition, records)
            reading.know(partition, records[-1].offset + 1 if records else 0, until_ms)
        told[str(until_ms - log.now_ms)] = reading.step().signals
        assert not reading.step().signals
    at_end, before, after = told.values()
    assert at_end == before
    assert [s.time_ms for s in after[len(before) :]] == [MIDNIGHT_MS + 5 * MINUTE_MS] * 2


def test_a_market_older_than_the_log_clock_is_read_further_back(long_log: LongLog) -> None:
    log = long_log.log
    committed = {p: records[-1].offset for p, records in log.partitions.items()}
    reading = read_all(log, RULES, random.Random(1), told=committed, since_ms=MIDNIGHT_MS - DAY_MS // 2)
    assert isinstance(reading, SignalReading)
    assert reading.lacks_since_ms == MIDNIGHT_MS - LOOK_BACK_MS
    assert not reading.step().signals


def encoded(signals: Any) -> list[bytes]:
    return [encode_signal(signal) for signal in signals]


def test_severity_rises_and_never_falls_before_the_end(long_log: LongLog) -> None:
    rank = list(Severity)
    held: dict[tuple[str, str, str | None], Severity] = {}
    day = 0
    for signal in long_log.told:
        if signal.state is SignalState.INFO:
            continue
        if (signal.time_ms - MINUTE_MS) // DAY_MS != day:
            day = (signal.time_ms - MINUTE_MS) // DAY_MS
            held.clear()
        key = signal.kind, signal.key, signal.other
        if signal.state is SignalState.BEGIN:
            assert key not in held or rank.index(signal.severity) > rank.index(held[key])
            held[key] = signal.severity
        else:
            assert held.pop(key) is signal.severity
