"""Weeks and months of days, and what is restored from the topics that the processor writes."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pytest
from rolled import DAY, HOUR, MINUTE, MemoryLog, Minute, begin, minute, newest, rolled, ticker

from processors.rolling.core import Output, Rolling
from processors.rolling.position import is_before, position_header
from processors.rolling.restore import read_back, restore

KEY = b"binance:BTC-USDT"


def at_ms(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


def minutes(first_ms: int, until_ms: int, *, seed: int = 1, offset: int = 0, revision: int = 0) -> list[Minute]:
    """Every minute of a market, each appended when it is over."""
    at = random.Random(seed)
    records = []
    for number, open_ms in enumerate(range(first_ms, until_ms, MINUTE), offset):
        value = minute(at, open_ms, 10 + number + revision)
        records.append(Minute(number, open_ms + MINUTE, KEY, value))
    return records


def taken(log: MemoryLog, core: Rolling, records: Sequence[Minute], batch: int = 500) -> list[Output]:
    """What the core makes of records that are in the log; it is published to the log."""
    outputs: list[Output] = []
    for number in range(0, len(records), batch):
        some = records[number : number + batch]
        asyncio.run(read_back(log, {0: (core, some)}))
        made = [output for record in some for output in core.take(record)]
        log.publish(made, some[-1].timestamp)
        outputs += made
        core.release()
    made = core.flush()
    log.publish(made, records[-1].timestamp)
    return outputs + made


def candles(outputs: Sequence[Output]) -> dict[tuple[str, int], dict[str, object]]:
    fields = [orjson.loads(output.value) for output in outputs if output.timeframe]
    return {(one["timeframe"], one["open_time_ms"]): one for one in fields}


def day_candle(open_ms: int, at: random.Random) -> dict[str, object]:
    return orjson.loads(minute(at, open_ms, 7)) | {"timeframe": "1d", "close_time_ms": open_ms + DAY - 1}


@pytest.mark.parametrize(
    ("last_day", "days"),
    [
        (at_ms(2024, 2, 29), 29),  # a leap day
        (at_ms(2023, 2, 28), 28),
        (at_ms(2023, 12, 31), 31),  # a Sunday: a week ends, too
        (at_ms(2024, 3, 3), 3),  # a Sunday whose week began in another month
    ],
)
def test_the_last_day_makes_its_week_and_month_whole_with_the_days_of_the_1d_topic(last_day: int, days: int) -> None:
    at = random.Random(5)
    first = min(begin("1M", last_day), begin("1w", last_day))
    before = [day_candle(open_ms, at) for open_ms in range(first, last_day, DAY)]
    records = minutes(last_day, last_day + DAY)
    log = MemoryLog(records)
    log.longer["1d"] = [
        Minute(number, fields["close_time_ms"] + 1, KEY, orjson.dumps(fields))  # type: ignore[operator]
        for number, fields in enumerate(before)
    ]
    core = asyncio.run(restore(log, 1, {0: 0}, records[0].timestamp))[0]
    made = candles(taken(log, core, records))
    parts = {fields["open_time_ms"]: fields for fields in before} | {last_day: made["1d", last_day]}
    for timeframe in ("1w", "1M"):
        begins = begin(timeframe, last_day)
        span = [parts[open_ms] for open_ms in sorted(parts) if open_ms >= begins]
        is_over = begin(timeframe, last_day + DAY) != begins
        assert ((timeframe, begins) in made) == is_over
        if is_over:
            shown = made[timeframe, begins]
            assert (shown["open"], shown["close"]) == (span[0]["open"], span[-1]["close"])
            assert shown["trades"] == sum(part["trades"] for part in span)  # type: ignore[misc]
    assert len([open_ms for open_ms in parts if open_ms >= begin("1M", last_day)]) == days


@pytest.mark.long
@pytest.mark.timeout(600)
def test_five_weeks_over_a_leap_day_equal_an_independent_computation_over_restarts_and_a_late_correction() -> None:
    first, until = at_ms(2024, 1, 29), at_ms(2024, 3, 4)
    records = minutes(first, until)
    correction = minute(random.Random(9), at_ms(2024, 2, 5, 12), 10**6)
    records.append(Minute(len(records), until, KEY, correction, (("run", b"r"),)))
    log = MemoryLog(records)
    core, outputs = Rolling(0, 1), []
    for number in range(0, len(records), 9_999):
        if number:
            core = asyncio.run(restore(log, 1, {0: core.position}, 0))[0]
        outputs += taken(log, core, records[number : number + 9_999])
    expected = rolled(newest(records))
    assert candles(outputs) == expected
    assert {name for name, _ in expected} >= {"1w", "1M"}
    assert expected["1M", at_ms(2024, 2, 1)]["revision"] == 10**6
    last = until - MINUTE
    shown = [orjson.loads(output.value) for output in outputs if output.timeframe is None][-1]
    assert shown == ticker(newest(records[:-1]), last)


def test_any_split_into_batches_and_any_restart_gives_the_same_tickers_over_a_week() -> None:
    first = at_ms(2024, 2, 26)
    hours = minutes(first, first + 8 * DAY + 90 * MINUTE)
    at = random.Random(3)
    records = [one for one in hours if at.random() > 0.0005]  # some minutes are missing, and their hours
    records = [one._replace(offset=number) for number, one in enumerate(records)]
    log = MemoryLog(records)
    once = taken(log, Rolling(0, 1), records)
    start = len(records) - 100
    for batch, position in ((1, start), (7, start + 13), (100, start + 61)):
        core = asyncio.run(restore(log, 1, {0: position}, 0))[0]
        again = taken(MemoryLog(records), core, records[position:], batch)
        assert again == once[-len(again) :]
    last = records[-1].fields["open_time_ms"]
    assert orjson.loads(once[-1].value) == ticker(newest(records), last)
    assert orjson.loads(once[-1].value)["windows"]["7d"]["missing"] >= 60


def test_hours_that_came_out_of_records_still_to_be_read_are_left_out_after_a_kill() -> None:
    first = at_ms(2024, 2, 26)
    records = minutes(first, first + 2 * HOUR)
    better = minute(random.Random(4), first, 10**6)
    records.append(Minute(len(records), first + 3 * HOUR, KEY, better, (("run", b"r"),)))
    log = MemoryLog(records)
    before = taken(log, Rolling(0, 1), records)
    core = asyncio.run(restore(log, 1, {0: len(records) - 1}, 0))[0]
    hour = core.state.hours(KEY.decode(), first // DAY)[0]
    assert hour is not None
    assert hour.revision < 10**6
    again = taken(log, core, records[-1:])
    assert again == before[-len(again) :]
    assert {output.timeframe for output in again} >= {"1h", "2h"}


def test_a_position_counts_within_its_topic_and_without_one_a_candle_counts_as_old() -> None:
    headers = (position_header(7, "this"),)
    assert [is_before(headers, offset, "this") for offset in (7, 8)] == [False, True]
    assert is_before(headers, 0, "another")
    assert is_before((), 0, "this")
