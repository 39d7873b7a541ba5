"""Longer candles and tickers, held against plain Fractions: revisions, repeats, restarts, runs, hostile records."""

import random
from collections.abc import Iterable, Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rolled import DAY, LENGTHS, MINUTE, START, Minute, minute, newest, rolled, ticker

from market.errors import MalformedError
from processors.rolling.core import Output, Rolling

KEY = b"binance:BTC-USDT"


def record(value: bytes, offset: int = 0, at_ms: int = 0, run: bytes | None = None, key: bytes = KEY) -> Minute:
    open_ms = orjson.loads(value)["open_time_ms"]
    return Minute(offset, at_ms or open_ms + MINUTE, key, value, (("run", run),) if run else ())


def log(seed: int, minutes: int, *, correct: float = 0.3, start: int = START) -> list[Minute]:
    """A key's minutes in order; now and then a marker corrects some of the last ten, and a candle is repeated."""
    at = random.Random(seed)
    records: list[Minute] = []
    revision = 10
    for number in range(minutes):
        revision += at.randint(1, 5)
        opens = {number}
        if at.random() < correct:
            opens |= {max(0, number - at.randint(0, 9)) for _ in range(at.randint(1, 3))}
        for one in sorted(opens):
            records.append(record(minute(at, start + one * MINUTE, revision), len(records)))
        if at.random() < correct / 3:  # a correction that closes no new minute
            revision += 1
            open_ms = start + max(0, number - at.randint(0, 9)) * MINUTE
            records.append(record(minute(at, open_ms, revision), len(records)))
    return records


def outputs_of(records: Sequence[Minute], core: Rolling | None = None) -> list[Output]:
    core = core or Rolling(0, 1)
    return [output for one in records for output in core.take(one)] + core.flush()


def last_candles(outputs: Iterable[Output]) -> dict[tuple[str, int], dict[str, object]]:
    found = {}
    for output in outputs:
        if output.timeframe:
            fields = orjson.loads(output.value)
            found[output.timeframe.value, fields["open_time_ms"]] = fields
    return found


@given(seed=st.integers(0, 2**32), minutes=st.integers(1, 200), lead=st.integers(0, 100))
@settings(max_examples=12, deadline=None)
def test_last_versions_equal_an_independent_computation(seed: int, minutes: int, lead: int) -> None:
    records = log(seed, minutes, start=START + DAY - lead * MINUTE)
    assert last_candles(outputs_of(records)) == rolled(newest(records))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_one_revision_of_a_window_has_one_form_and_tickers_never_go_back(seed: int) -> None:
    outputs = outputs_of(log(seed, 90, correct=0.8))
    forms: dict[tuple[object, ...], bytes] = {}
    times = []
    for output in outputs:
        fields = orjson.loads(output.value)
        if output.timeframe:
            name = (output.timeframe, fields["open_time_ms"], fields["revision"])
            assert forms.setdefault(name, output.value) == output.value
        else:
            times.append(fields["time_ms"])
    assert times == sorted(set(times))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_repeated_and_older_candles_change_nothing(seed: int) -> None:
    records = log(seed, 70)
    core = Rolling(0, 1)
    outputs_of(records, core)
    held = newest(records)
    replaced = [one for one in records if one.fields != held[one.fields["open_time_ms"]]]
    assert outputs_of(replaced, core) == []
    assert outputs_of(records[-1:], core) == []


def test_of_one_revision_the_later_candle_counts() -> None:
    at = random.Random(9)
    records = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in range(3)]
    core = Rolling(0, 1)
    outputs_of(records, core)
    other = record(minute(at, START, 10), 3)
    assert last_candles(outputs_of([other], core)) == rolled(newest([*records, other]))


def test_finer_amounts_change_the_scale_of_what_is_held() -> None:
    fine = {"volume": "0.000000000000000003", "quote_volume": "0.0000000000000000000007"}
    plain = {"volume": "7", "quote_volume": "9", "taker_buy_volume": "1", "taker_buy_quote_volume": "2"}
    prices = {"open": "7", "high": "9", "low": "6", "close": "8"}
    at = random.Random(6)
    records = []
    for n in range(130):
        fields = plain | prices | (fine if n == 70 else {}) | ({"open": "7.125"} if n == 100 else {})
        records.append(record(minute(at, START + n * MINUTE, 10 + n, **fields), n))
    records.append(record(minute(at, START, 200, **plain, **prices), 130))
    outputs = outputs_of(records)
    assert last_candles(outputs) == rolled(newest(records))
    tickers = {orjson.loads(o.value)["time_ms"]: orjson.loads(o.value) for o in outputs if o.timeframe is None}
    for number in (69, 70, 71, 99, 100, 129):
        open_ms = START + number * MINUTE
        assert tickers[open_ms + MINUTE] == ticker(newest(records[: number + 1]), open_ms)


def test_days_and_their_tickers() -> None:
    records = log(7, 1530, correct=0.05)
    outputs = outputs_of(records)
    candles = last_candles(outputs)
    assert candles == rolled(newest(records))
    assert {name for name, _ in candles} == set(LENGTHS)
    tickers = {orjson.loads(o.value)["time_ms"]: orjson.loads(o.value) for o in outputs if o.timeframe is None}
    assert len(tickers) == 1530
    for number in (0, 30, 59, 60, 700, 1439, 1440, 1441, 1529):
        open_ms = START + number * MINUTE
        until = next(i for i, one in enumerate(records) if one.fields["open_time_ms"] == open_ms)
        assert tickers[open_ms + MINUTE] == ticker(newest(records[: until + 1]), open_ms)


def test_a_ticker_over_gaps_counts_the_minutes_that_are_there() -> None:
    at = random.Random(8)
    numbers = sorted(at.sample(range(2000), 150))
    records = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in numbers]
    last = outputs_of(records)[-1]
    assert orjson.loads(last.value) == ticker(newest(records), START + numbers[-1] * MINUTE)


def test_a_window_without_all_its_minutes_does_not_come_out_until_they_are_there() -> None:
    at = random.Random(1)
    minutes = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in (1, 2, 3, 4)]
    core = Rolling(0, 1)
    assert {o.timeframe for o in outputs_of(minutes, core)} == {None}
    first = record(minute(at, START, 99), 9)
    assert [o.timeframe for o in outputs_of([first], core)] == ["3m", "5m"]


def test_minutes_of_runs_and_of_the_feed_make_one_window() -> None:
    at = random.Random(2)
    live = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in (0, 1, 4)]
    runs = [record(minute(at, START + n * MINUTE, 50 + n), 10 + n, run=b"r%d" % n) for n in (2, 3)]
    core = Rolling(0, 1)
    outputs_of(live, core)
    outputs = outputs_of(runs, core)
    assert [o.timeframe for o in outputs] == ["3m", "5m"]
    assert last_candles(outputs) == rolled(newest(live + runs))


def test_a_run_moves_no_ticker_and_is_in_the_next_one() -> None:
    at = random.Random(6)
    live = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in range(200)]
    run = [record(minute(at, START + n * MINUTE, 900 + n), 300 + n, run=b"r") for n in (*range(-5, 60), 205)]
    core = Rolling(0, 1)
    outputs_of(live, core)
    assert None not in {o.timeframe for o in outputs_of(run, core)}
    following = record(minute(at, START + 200 * MINUTE, 5000), 600)
    shown = outputs_of([following], core)[-1]
    expected = newest([*live, *run, following])
    del expected[START + 205 * MINUTE]
    assert (shown.timeframe, orjson.loads(shown.value)) == (None, ticker(expected, START + 200 * MINUTE))


def test_a_live_candle_refreshes_the_ticker_only_right_after_the_newest_minute_and_once_a_second() -> None:
    at = random.Random(4)
    records = log(4, 70)
    core = Rolling(0, 1)
    outputs_of(records, core)
    now = START + 71 * MINUTE

    def live(number: int, at_ms: int) -> Minute:
        return record(minute(at, START + number * MINUTE, 5_000, status="open"), at_ms=now + at_ms)

    assert core.refresh(live(69, 1_000)) == []
    assert core.refresh(live(71, 1_000)) == []
    (shown,) = core.refresh(live(70, 2_000))
    assert orjson.loads(shown.value)["live"] is True
    assert core.refresh(live(70, 2_999)) == []
    last = live(70, 3_000)
    (shown,) = core.refresh(last)
    assert orjson.loads(shown.value) == ticker(newest(records), START + 70 * MINUTE, last.fields)


def test_a_live_candle_at_midnight_refreshes_the_ticker_of_the_day_before() -> None:
    at = random.Random(5)
    records = log(5, 120, start=START + DAY - 120 * MINUTE)
    core = Rolling(0, 1)
    outputs_of(records, core)
    live = record(minute(at, START + DAY, 5_000, status="open"))
    (shown,) = core.refresh(live)
    assert orjson.loads(shown.value) == ticker(newest(records), START + DAY, live.fields)


def test_a_record_without_value_and_a_malformed_one_count_as_read() -> None:
    core = Rolling(0, 1)
    (one,) = log(1, 1)
    core.take(one)
    assert (core.offset, core.position, core.pending) == (0, 0, True)
    assert core.take(Minute(1, START, b"", None, (("roll", b""),))) == []
    assert (core.offset, core.position, core.pending) == (1, 0, True)
    assert core.flush() != []
    assert (core.offset, core.position, core.pending) == (1, 2, False)
    with pytest.raises(MalformedError):
        core.take(Minute(2, START, KEY, b"{"))
    assert (core.offset, core.position, core.pending) == (2, 3, False)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"{", KEY),
        (minute(random.Random(1), START, 1), b"binance:ETH-USDT"),
        (minute(random.Random(1), START, 1), b"\xff"),
        (minute(random.Random(1), START, 1), None),
        (minute(random.Random(1), START, 1, timeframe="5m"), KEY),
        (minute(random.Random(1), START + 1, 1), KEY),
        (minute(random.Random(1), START, 1, volume="NaN"), KEY),
        (minute(random.Random(1), START + 3 * MINUTE, 1), KEY),
    ],
)
def test_hostile_records_are_malformed_and_change_nothing(value: bytes, key: bytes) -> None:
    core = Rolling(0, 1)
    with pytest.raises(MalformedError):
        core.take(Minute(0, START, key, value))
    assert core.flush() == []
    core.recall(Minute(0, START, key, value))
    assert core.refresh(record(minute(random.Random(1), START + MINUTE, 9))) == []


def test_a_broken_run_header_is_malformed() -> None:
    with pytest.raises(MalformedError):
        Rolling(0, 1).take(Minute(0, START, KEY, minute(random.Random(1), START, 1), (("run", b"\xff"),)))


def test_a_key_of_another_partition_is_malformed() -> None:
    wrong = [partition for partition in range(12) if partition != _partition(KEY, 12)]
    with pytest.raises(MalformedError, match="belongs in partition"):
        Rolling(wrong[0], 12).take(record(minute(random.Random(1), START, 1)))


def _partition(key: bytes, partitions: int) -> int:
    from aiokafka.partitioner import DefaultPartitioner  # noqa: PLC0415  # Kafka's own rule

    return int(DefaultPartitioner()(key, list(range(partitions)), list(range(partitions))))


def test_a_live_candle_between_a_minute_and_its_ticker_changes_neither_it_nor_their_order() -> None:
    at = random.Random(11)
    records = [record(minute(at, START + n * MINUTE, 10 + n), n) for n in range(120)]
    core = Rolling(0, 1)
    outputs_of(records[:100], core)
    core.take(records[100])
    assert core.refresh(record(minute(at, START + 101 * MINUTE, 500, status="open"), 1)) == []
    (closed,) = [output for output in core.flush() if output.timeframe is None]
    assert orjson.loads(closed.value) == ticker(newest(records[:101]), START + 100 * MINUTE)
