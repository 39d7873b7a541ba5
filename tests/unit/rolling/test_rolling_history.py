"""Minutes of the past, whoever writes them: what comes out is at every moment what all newest minutes add up to."""

import asyncio
import random
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_log import TODAY, MadeLog, is_candle
from rolled import DAY, LENGTHS, MINUTE, START, MemoryLog, Minute, begin, minute, newest, ticker, window

from market.errors import MalformedError
from processors.rolling.core import Output, Rolling, UnfinishedWindows
from processors.rolling.history import minute_of, needs_since_ms
from processors.rolling.restore import read_back, restore
from processors.rolling.state import LATE_MS

KEY = b"binance:BTC-USDT"
SEEDS = st.integers(0, 2**32)


class Processor:
    """The core with a log behind it, as the worker drives it: batches, restarts, and few old days in memory."""

    def __init__(self, records: Sequence[Minute], *, most_old_days: int = 2, first: int = 0) -> None:
        self.records = records
        self.log = MemoryLog(records, first)
        self.most_old_days = most_old_days
        self.core = Rolling(0, 1, most_old_days=most_old_days)

    def restart(self, offset: int, since_ms: int) -> None:
        now_ms = self.records[-1].timestamp
        self.core = asyncio.run(restore(self.log, 1, {0: offset}, now_ms, since_ms))[0]
        self.core.state.most_old_days = self.most_old_days

    def prepare(self, batch: Sequence[Minute]) -> None:
        asyncio.run(read_back(self.log, {0: (self.core, batch)}))

    def take(self, record: Minute) -> list[Output]:
        try:
            return self.published(self.core.take(record))
        except MalformedError:
            return []

    def flush(self) -> list[Output]:
        return self.published(self.core.flush())

    def published(self, outputs: list[Output]) -> list[Output]:
        self.log.publish(outputs, self.core.state.clock_ms)
        return outputs

    def take_all(self, batch: Sequence[Minute]) -> list[Output]:
        self.prepare(batch)
        outputs = [output for record in batch for output in self.take(record)]
        return outputs + self.flush()


def since_ms(at: random.Random, clock_ms: int) -> int:
    """As far back as the worker reads, or not at all, or everything."""
    return at.choice((needs_since_ms((clock_ms - LATE_MS) // DAY - 1), clock_ms + 1, 0))


@given(seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_every_window_is_at_every_moment_the_sum_of_its_newest_minutes(seed: int) -> None:
    at = random.Random(seed)
    records = MadeLog(seed, 40).records
    held: dict[bytes, dict[int, dict[str, object]]] = {}
    shown: dict[tuple[bytes, str, int], dict[str, object]] = {}
    newest_live: dict[bytes, int] = {}
    processor = Processor(records, most_old_days=at.choice((0, 1, 2, 100)))
    number = 0
    while number < len(records):
        if at.random() < 0.1:
            processor.restart(number, since_ms(at, records[number].timestamp))
        batch = records[number : number + at.randint(1, 30)]
        processor.prepare(batch)
        for record in batch:
            outputs = processor.take(record) + processor.flush()
            if not is_candle(record):
                assert outputs == []
                continue
            _check(record, outputs, held.setdefault(record.key, {}), shown, newest_live)
        number += len(batch)
        if at.random() < 0.5:
            assert processor.core.release() == []
    assert processor.core.position == len(records)


def _check(
    record: Minute,
    outputs: Sequence[Output],
    held: dict[int, dict[str, object]],
    shown: dict[tuple[bytes, str, int], dict[str, object]],
    newest_live: dict[bytes, int],
) -> None:
    """Compare a record's outputs with a plain computation; only windows with its minute may have changed."""
    open_ms = record.fields["open_time_ms"]
    held[open_ms] = newest([*_as_records(record, held.get(open_ms)), record])[open_ms]
    tickers = [orjson.loads(output.value) for output in outputs if output.timeframe is None]
    if not record.headers and open_ms > newest_live.get(record.key, -1):
        newest_live[record.key] = open_ms
        assert len(tickers) == 1
        if open_ms // MINUTE % 10 == 0:  # the plain computation is slow
            assert tickers == [ticker({at: fields for at, fields in held.items() if at <= open_ms}, open_ms)]
    else:
        assert tickers == []
    for output in outputs:
        if output.timeframe is not None:
            fields = orjson.loads(output.value)
            assert fields["open_time_ms"] <= open_ms <= fields["close_time_ms"]
            shown[record.key, output.timeframe.value, fields["open_time_ms"]] = fields
    for timeframe in (*LENGTHS, "1w", "1M"):
        begins = begin(timeframe, open_ms)
        assert shown.get((record.key, timeframe, begins)) == window(timeframe, held, begins)


def _as_records(record: Minute, fields: dict[str, object] | None) -> list[Minute]:
    return [] if fields is None else [record._replace(value=orjson.dumps(fields))]


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_what_is_published_over_kills_is_what_one_pass_publishes_and_has_one_form_a_revision(seed: int) -> None:
    at = random.Random(seed)
    records = MadeLog(seed, 40).records
    once = Processor(records, most_old_days=100)
    expected = set(once.take_all(records))
    processor = Processor(records, most_old_days=at.choice((0, 1, 2)))
    found: list[Output] = []
    number = committed = 0
    while number < len(records):
        batch = records[number : number + at.randint(1, 40)]
        processor.prepare(batch)
        for record in batch:
            found += processor.take(record)
        number += len(batch)
        if at.random() < 0.3 and _is_boundary(records, number):  # the log ends here, for now
            found += processor.flush()
        processor.core.release()
        if at.random() < 0.5:
            committed = processor.core.position
        if at.random() < 0.2:
            number = committed
            processor.restart(number, since_ms(at, records[max(0, number - 1)].timestamp))
    found += processor.flush()
    assert set(found) == expected
    forms: dict[tuple[object, ...], bytes] = {}
    for output in found:
        fields = orjson.loads(output.value)
        if output.timeframe is not None:
            name = (output.key, output.timeframe, fields["open_time_ms"], fields["revision"])
            assert forms.setdefault(name, output.value) == output.value


def _is_boundary(records: Sequence[Minute], number: int) -> bool:
    """Whether the revision at hand has no more records."""
    if number == len(records):
        return True
    before = next((one for one in reversed(records[:number]) if is_candle(one)), None)
    behind = next((one for one in records[number:] if is_candle(one)), None)
    return None in (before, behind) or before.fields["revision"] != behind.fields["revision"]


def test_a_day_with_holes_that_a_run_mends_is_right_in_every_timeframe() -> None:
    at = random.Random(3)
    first = [_of_run(minute(at, START + n * MINUTE, 10 + n), n, b"short") for n in range(1440)]
    mended = [
        _of_run(minute(at, START + n * MINUTE, 5000 + n, trades=n % 2, status="complete"), 1440 + n, b"mended")
        for n in range(3, 1440)
    ]
    processor = Processor([*first, *mended])
    shown = {}
    for batch in (first, mended[:700], mended[700:]):
        for output in processor.take_all(batch):
            fields = orjson.loads(output.value)
            shown[fields["timeframe"], fields["open_time_ms"]] = fields
        processor.restart(batch[-1].offset + 1, TODAY)
    minutes = newest([*first, *mended])
    for timeframe in ("3m", "1h", "12h", "1d"):
        for begins in range(START, START + DAY, LENGTHS[timeframe] * MINUTE):
            assert shown[timeframe, begins] == window(timeframe, minutes, begins)
    assert shown["1d", START]["trades"] == sum(fields["trades"] for fields in minutes.values())


def test_an_import_of_days_that_the_log_does_not_hold_reads_nothing_back() -> None:
    at = random.Random(4)
    days = [START + day * DAY for day in range(5)]
    records = [
        _of_run(minute(at, day + n * MINUTE, 10 + n), 60 * number + n, b"r")
        for number, day in enumerate(days)
        for n in range(60)
    ]
    processor = Processor(records, most_old_days=1)
    for number in range(0, len(records), 20):
        processor.take_all(records[number : number + 20])
        processor.core.release()
    assert processor.log.reads == 0


def test_windows_whose_minutes_have_left_the_log_are_named_and_the_others_come_out() -> None:
    at = random.Random(5)
    day = [_of_run(minute(at, START + n * MINUTE, 10 + n), n, b"r") for n in range(60)]
    repair = [_of_run(minute(at, START + n * MINUTE, 900 + n), 60 + n, b"repair") for n in (40, 41)]
    records = [*day, *repair]
    processor = Processor(records, first=30)  # of the hour only its second half is still there
    processor.restart(60, TODAY)
    outputs = processor.take_all(repair)
    assert {output.timeframe for output in outputs} == {"3m", "5m", "15m", "30m"}
    lost = [UnfinishedWindows(KEY.decode(), START, dict.fromkeys(("1h", "2h", "4h", "6h", "12h", "1d"), 1))]
    assert processor.core.take_unfinished() == lost
    assert processor.core.take_unfinished() == []


def test_windows_that_were_never_whole_are_not_called_lost() -> None:
    at = random.Random(6)
    records = [_of_run(minute(at, START + n * MINUTE, 10 + n), n, b"r") for n in (0, 1, 3)]
    processor = Processor(records)
    processor.take_all(records)
    assert processor.core.take_unfinished() == []


def test_memory_holds_few_old_days() -> None:
    at = random.Random(7)
    records = [_of_run(minute(at, START - n * DAY, 10 + n), n, b"r") for n in range(50)]
    processor = Processor(records, most_old_days=3)
    for record in records:
        processor.take_all([record])
        processor.core.release()
    assert processor.core.state.held_days == 3


@pytest.mark.parametrize("other", [b"1", b'"1"', b"1.5", b"null", b"[1]"])
def test_a_candle_that_says_twice_when_it_opens_is_malformed(other: bytes) -> None:
    """Its day is looked up before the codec reads it: both must see the same minute."""
    value = minute(random.Random(1), START, 1).replace(b"{", b'{"open_time_ms":' + other + b",", 1)
    core = Rolling(0, 1)
    record = Minute(0, TODAY, KEY, value)
    if minute_of(record) is None:
        with pytest.raises(MalformedError):
            core.take(record)
    else:
        core.take(record)
        assert core.missing([record]).days == set()
    core.recall(record)


def _of_run(value: bytes, offset: int, run: bytes) -> Minute:
    return Minute(offset, TODAY + offset, KEY, value, (("run", run),))
