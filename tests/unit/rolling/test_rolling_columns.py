"""Many records, tickers and blocks at once: the same bytes and sums as one by one."""

import asyncio
import random
from collections.abc import Sequence

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rolled import DAY, HOUR, MINUTE, START, MemoryLog, Minute, minute

from market.value_text import Ints
from processors.rolling import recall
from processors.rolling.amounts import Scale
from processors.rolling.core import FEW_RECORDS, Output, Rolling
from processors.rolling.restore import restore
from processors.rolling.state import RollingState
from processors.rolling.sums import Sum
from processors.rolling.ticker import WINDOWS, TickerMaker
from processors.rolling.ticker_columns import DueTicker, TickerColumns
from processors.rolling.ticker_table import FEW, encode_tickers
from processors.rolling.ticker_texts import NO_VOLATILITY, TickerNumbers, WindowNumbers, encode_ticker
from processors.rolling.window_parts import MOST

NAMES = tuple(WINDOWS)
FIRST_MINUTE = START // MINUTE


def window_numbers(at: random.Random, digits: int) -> WindowNumbers:
    opened, close, low, high = (int(10 ** at.uniform(0, digits)) for _ in range(4))
    volume = at.choice([0, int(10 ** at.uniform(0, digits)), 10 ** at.randint(0, digits - 1)])
    return WindowNumbers(
        at.randint(1, 10_080), opened, max(opened, close, high), min(opened, close, low), close,
        volume, volume * at.choice([1, 3, at.randint(1, 10**6)]), at.randint(0, volume), at.randint(0, 10**9),
        at.randint(0, 4), at.randint(0, 2 * 10**12), at.randint(0, 60),
        at.choice([NO_VOLATILITY, 0, at.randint(0, 10**13)]),
    )  # fmt: skip


@pytest.mark.parametrize("digits", [1, 5, 11, 17, 22])
@pytest.mark.parametrize("scale", [Scale(2, 5, 7), Scale(0, 0, 0), Scale(8, 0, 8), Scale(18, 18, 22), Scale(3, 8, 6)])
def test_tickers_in_a_table_have_the_bytes_of_each_by_itself(digits: int, scale: Scale) -> None:
    at = random.Random(digits)
    tickers = [
        TickerNumbers(
            f"x:{at.choice(['A-B', 'Ä-USD'])}", scale, at.randint(0, 2 * 10**12), at.random() < 0.5,
            at.randint(0, 2**53 - 1), [window_numbers(at, digits) for _ in NAMES],
        )
        for _ in range(2 * FEW)
    ]  # fmt: skip
    expected = [encode_ticker(ticker, NAMES) for ticker in tickers]
    rows = [(*of.scale, of.time_ms, of.is_live, of.revision, *(n for w in of.windows for n in w)) for of in tickers]
    if max(map(max, rows)) < 2**63:
        columns: Ints = np.array(rows, np.int64).T
        assert encode_tickers([ticker.key for ticker in tickers], columns, NAMES) == expected


def sums(at: random.Random, revision: int, greatest: int) -> Sum:
    low, *between, high = sorted(at.randint(1, 10 ** at.randint(1, 7)) for _ in range(4))
    volume, quote = at.choice([0, at.randint(1, greatest)]), at.randint(0, greatest)
    amounts = (volume, quote, at.randint(0, volume), at.randint(0, quote))
    return Sum(between[0], high, low, between[1], *amounts, at.randint(0, 99), revision, at.randint(0, 3), "1", "2")


@given(seed=st.integers(0, 2**32), greatest=st.sampled_from([10**3, 10**12, MOST // 30, 10**18]))
@settings(max_examples=8, deadline=None)
def test_windows_as_columns_are_those_of_each_market(seed: int, greatest: int) -> None:
    """Over holes, silences of hours, corrections, great numbers and open minutes."""
    at = random.Random(seed)
    state = RollingState(9, 9)
    columns = TickerColumns(state.minute_numbers, state.hour_numbers)
    keys = ["a:B-C", "a:D-E", "a:F-G"]
    makers = {key: TickerMaker(key, Scale(0, 0, 0), *_places(state, key)) for key in keys}
    newest = dict.fromkeys(keys, FIRST_MINUTE + 26 * 60)
    for key in keys[:2]:
        for number in range(FIRST_MINUTE, newest[key]):
            state.put((key, number // 1440), number % 1440, sums(at, 1, 10**3), is_newest=True)
    for revision in range(2, 150):
        due: list[DueTicker] = []
        for key in at.sample(keys, at.randint(1, 3)):
            newest[key] += at.choice([2, 7, 60, 61, 24 * 60, 167 * 60, 9 * 24 * 60]) if at.random() < 0.05 else 1
            corrected = newest[key] - at.choice([1, 5, 60, 64, 1440, 1500, 10_000])
            changed = [corrected, newest[key]] if at.random() < 0.3 else [newest[key]]
            for number in changed:
                value = sums(at, revision, greatest)
                if state.put((key, number // 1440), number % 1440, value, is_newest=number == newest[key]):
                    columns.change(key, number, value)
                    makers[key].forget(number)
            due.append(DueTicker(key, newest[key]))
            if at.random() < 0.3:
                due.append(DueTicker(key, newest[key] + 1, sums(at, revision, greatest)))
        rows, shown = columns.numbers(due)
        assert greatest > MOST // 100 or sorted(rows) == list(range(len(due)))
        expected = {row: makers[ticker.key].ticker(ticker.minute, ticker.live) for row, ticker in enumerate(due)}
        for row, column in zip(rows, shown.T.tolist(), strict=True):
            assert column == [
                expected[row].revision,
                *(number for window in expected[row].windows for number in window),
            ]


def _places(state: RollingState, key: str) -> tuple[object, object]:
    return (lambda hour: state.minutes(key, hour)), (lambda day: state.hours(key, day))


def busy_log(seed: int, minutes: int, markets: int = 5) -> list[Minute]:
    """Minutes of several markets: late, of runs, without value, malformed, of other scales, twice."""
    at = random.Random(seed)
    records: list[Minute] = []

    def add(symbol: str, number: int, revision: int, run: bytes | None = None, **fields: object) -> None:
        value = minute(at, START + number * MINUTE, revision, symbol, **fields)
        headers = (("run", run),) if run else ()
        records.append(Minute(len(records), now, f"binance:{symbol}".encode(), value, headers))

    for number in range(minutes):
        now = START + (number + 1) * MINUTE
        for market in range(markets):
            symbol = f"S{market}-USDT"
            if at.random() < 0.04:
                continue
            ids = {"first_trade_id": "a", "last_trade_id": "b"} if at.random() < 0.02 else {}
            add(symbol, number, len(records), **ids)
            if at.random() < 0.1:
                add(symbol, max(0, number - at.randint(0, 70)), len(records) - at.randint(0, 1))
            if at.random() < 0.03:
                add(symbol, max(0, number - at.randint(0, 300)), len(records), run=b"r")
            if at.random() < 0.02:
                records.append(records[-1]._replace(offset=len(records), value=at.choice([None, b"{", b"\xff"])))
    return records


def taken(core: Rolling, records: Sequence[Minute], size: int) -> list[Output]:
    outputs: list[Output] = []
    for begin in range(0, len(records), size):
        outputs += core.take_all(records[begin : begin + size]).outputs
    return outputs + core.flush()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None)
def test_batches_of_any_size_make_the_same_outputs(seed: int) -> None:
    records = busy_log(seed, 130)
    once = taken(Rolling(0, 1), records, 1)
    assert len(records) > 2 * FEW_RECORDS
    for size in (FEW_RECORDS + 7, len(records)):
        assert taken(Rolling(0, 1), records, size) == once


@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None)
def test_what_is_recalled_at_once_is_what_is_recalled_one_by_one(seed: int) -> None:
    records = busy_log(seed, 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "MOST_RECORDS", 90)
        together = asyncio.run(restore(MemoryLog(records), 1, {0: len(records)}, records[-1].timestamp))[0]
    alone = Rolling(0, 1)
    for record in records:
        alone.recall(record)
    for key in together.state.scales:
        days = [*range(START // DAY - 1, START // DAY + 1)]
        assert [together.history.extent((key, day)) for day in days] == [
            alone.history.extent((key, day)) for day in days
        ]
        assert together.history.newest_ms(key) == alone.history.newest_ms(key)
        assert together.state.fed_ms[key] == alone.state.fed_ms[key]
        scales = together.state.scales[key], alone.state.scales[key]
        assert scales[0] == scales[1]
        for hour in range(START // HOUR - 6, START // HOUR + 4):
            assert together.state.minutes(key, hour) == alone.state.minutes(key, hour)
        assert [together.state.hours(key, day) for day in days] == [alone.state.hours(key, day) for day in days]
    assert (together.offset, together.state.clock_ms) == (alone.offset, alone.state.clock_ms)


def test_of_several_live_candles_of_a_market_in_a_batch_the_newest_is_shown() -> None:
    at = random.Random(4)
    records = busy_log(4, 70, markets=2)
    core = Rolling(0, 1)
    taken(core, records, 100)
    newest = core.history.newest_ms("binance:S0-USDT")
    live = [
        Minute(
            n,
            newest + 2 * MINUTE + n,
            b"binance:S0-USDT",
            minute(at, newest + MINUTE, 10**6 + n, "S0-USDT", status="open"),
        )
        for n in range(3)
    ]
    shown = core.refresh_all([*live, live[0]._replace(value=b"{")])
    assert [record for record, _ in shown.refused] == [live[0]._replace(value=b"{")]
    (ticker,) = shown.outputs
    assert orjson.loads(ticker.value)["last"] == live[2].fields["close"]
