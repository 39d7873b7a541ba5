"""Small inputs that go wrong in the field, with the right values, in every store and timeframe.

The inputs are made for this project; the kinds of fault are from public reports.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from everywhere import candles_by_place, run_all, trades_by_place

from processors.rolling.steps import OF_HOURS, OF_MINUTES
from producers.archive.importing import Imported, ImportRequest, import_recordings
from producers.archive.recording import Described
from runtime.settings import Settings

CASES = Path(__file__).parents[1] / "data" / "cases"
MINUTE_MS, DAY_MS = 60_000, 86_400_000
APR_7, APR_8 = 1_617_753_600_000, 1_617_840_000_000
MAR_9, MAR_10 = 1_709_942_400_000, 1_710_028_800_000
MAY_2, JAN_2 = 1_714_608_000_000, 1_704_153_600_000
MAY_2_DUMP = "QANUSDT-trades-2024-05-02.csv"
TWO_MINUTES = {"complete_from_us": JAN_2 * 1000, "complete_until_us": (JAN_2 + 2 * MINUTE_MS) * 1000}

pytestmark = pytest.mark.usefixtures("longer_candles")


async def imported(settings: Settings, *names: str | Path, **request: Any) -> list[Imported]:
    asked = ImportRequest(files=[CASES / name for name in names], described=Described(), **request)
    return list(await import_recordings(settings, asked, lambda *_: None, asyncio.Event()))


def minutes(candles: dict[Any, Any], from_ms: int, until_ms: int, timeframe: str = "1m") -> list[tuple[Any, ...]]:
    """(minute of the span, trades, status) of each candle that opens in it."""
    return [
        ((open_ms - from_ms) // MINUTE_MS, fields[6], fields[7])
        for (_, name, open_ms), fields in sorted(candles.items())
        if name == timeframe and from_ms <= open_ms < until_ms
    ]


def statuses(candles: dict[Any, Any], opens: Iterable[int]) -> set[str]:
    wanted = set(opens)
    return {fields[7] for (_, name, open_ms), fields in candles.items() if name == "1m" and open_ms in wanted}


def span(from_ms: int, until_ms: int) -> range:
    return range(from_ms, until_ms, MINUTE_MS)


async def test_a_dump_that_ends_early_and_is_issued_again(settings: Settings) -> None:
    april_7, april_8 = "QACUSDT-trades-2021-04-07.csv", "QACUSDT-trades-2021-04-08.csv"
    await imported(settings, f"truncated-day/{april_7}")
    await run_all(settings)
    for candles in (await candles_by_place(settings)).values():
        if ("QAC-USDT", "1m", APR_7) in candles:  # Redis keeps the newest 1,500
            assert minutes(candles, APR_7, APR_7 + 5 * MINUTE_MS) == [
                (0, 1, "connected"), (1, 1, "complete"), (2, 1, "complete"), (3, 1, "connected"), (4, 0, "connected")
            ]  # fmt: skip
        assert statuses(candles, span(APR_7 + 3 * MINUTE_MS, APR_8)) == {"connected"}

    (done,) = await imported(settings, f"truncated-day/{april_8}")
    assert [(gap.first, gap.last) for gap in done.plan.gaps] == [(2004, 2999)]
    await run_all(settings)
    for place, candles in (await candles_by_place(settings)).items():
        assert statuses(candles, span(APR_7 + 3 * MINUTE_MS, APR_8 + MINUTE_MS)) == {"hole"}, place
        assert minutes(candles, APR_8, APR_8 + 4 * MINUTE_MS) == [
            (0, 1, "hole"), (1, 1, "complete"), (2, 1, "connected"), (3, 0, "connected")
        ]  # fmt: skip
        if place in ("Kafka", "Redis"):
            assert minutes(candles, APR_7, APR_8, "1d") == [(0, 4, "hole")]

    await imported(settings, f"truncated-day/mended/{april_7}")
    await run_all(settings)
    day = (Decimal("21.6"), Decimal(25), Decimal(20), Decimal(20), Decimal(1000))
    places = await candles_by_place(settings)
    for place, candles in places.items():
        assert statuses(candles, span(APR_7 + MINUTE_MS, APR_8 + 2 * MINUTE_MS)) == {"complete"}, place
        of_day = [
            fields
            for (_, name, open_ms), fields in sorted(candles.items())
            if name == "1m" and APR_7 <= open_ms < APR_8
        ]
        if place != "Redis":
            assert (len(of_day), sum(fields[6] for fields in of_day)) == (1440, 1000)
            assert (sum(fields[4] for fields in of_day), max(fields[1] for fields in of_day)) == (1000, 25)
            assert of_day[-1][3] == 20
        if place in ("Kafka", "Redis"):
            assert candles["QAC-USDT", "1d", APR_7][1:5] == day[1:]
            # the status is that of its first minute, before the first id
            assert candles["QAC-USDT", "1d", APR_7][6:] == (1000, "connected")
    longer = [
        (name, open_ms, fields)
        for (_, name, open_ms), fields in sorted(places["Kafka"].items())
        if APR_7 <= open_ms < APR_8
    ]
    for timeframe in (*OF_MINUTES, *OF_HOURS):
        of_frame = [fields for name, _, fields in longer if name == timeframe]
        assert sum(fields[6] for fields in of_frame) == 1000, timeframe
        assert {fields[7] for fields in of_frame[1:]} <= {"complete"}, timeframe


@pytest.mark.parametrize("order", ["wrong order", pytest.param("together", marks=pytest.mark.long)])
async def test_a_trade_of_the_last_minute_in_the_next_days_file(order: str, settings: Settings) -> None:
    files = ["day-edge/QADUSDT-trades-2024-03-09.csv", "day-edge/QADUSDT-trades-2024-03-10.csv"]
    files = files[::-1] if "wrong" in order else files
    for group in [files] if "together" in order else [[file] for file in files]:
        await imported(settings, *group)
        await run_all(settings)
    for place, candles in (await candles_by_place(settings)).items():
        last = candles["QAD-USDT", "1m", MAR_10 - MINUTE_MS]
        assert (last[6], last[1], last[4], last[7]) == (2, 99, 6, "complete"), place
        assert minutes(candles, MAR_10, MAR_10 + 3 * MINUTE_MS) == [
            (0, 1, "complete"), (1, 1, "connected"), (2, 0, "connected")
        ]  # fmt: skip
        if place in ("Kafka", "Redis"):
            assert (candles["QAD-USDT", "1d", MAR_9][6], candles["QAD-USDT", "1d", MAR_9][1]) == (3, 99)


@pytest.mark.parametrize("engine_between", [pytest.param(False, marks=pytest.mark.long), True])
async def test_a_poorer_file_after_a_better_one(
    engine_between: bool,  # noqa: FBT001
    settings: Settings,
    tmp_path: Path,
) -> None:
    for number, name in enumerate(("1-whole-", "2-poorer-")):
        path = tmp_path / str(number) / MAY_2_DUMP
        path.parent.mkdir()
        path.write_text((CASES / "poorer-after" / f"{name}{MAY_2_DUMP}").read_text())
        await imported(settings, path)
        if engine_between:
            await run_all(settings)
    await run_all(settings)
    for candles in (await candles_by_place(settings)).values():
        of_first = minutes(candles, MAY_2, MAY_2 + 4 * MINUTE_MS)
        assert of_first == [(0, 2, "connected"), (1, 2, "complete"), (2, 2, "complete"), (3, 2, "connected")]


async def test_ids_that_rise_and_leave_numbers_out_prove_nothing(settings: Settings) -> None:
    (done,) = await imported(settings, "sparse-ids/sparse.jsonl")
    assert done.plan.kind.value == "ordered"
    await run_all(settings)
    for candles in (await candles_by_place(settings)).values():
        assert {fields[7] for fields in candles.values()} == {"connected"}
        assert (
            sum(fields[6] for (_, name, _), fields in candles.items() if name == "1m") == done.trades - done.plan.kept
        )


async def test_an_id_that_is_told_twice_counts_once_everywhere(settings: Settings) -> None:
    told = {"a": ("DUP-A", 1, 1), "b": ("DUP-B", 5, 1), "c": ("DUP-C", 5, 0)}
    for name, (_, _, conflicts) in told.items():
        (done,) = await imported(settings, f"conflicts/{name}.jsonl", **TWO_MINUTES)
        assert (done.repeated, done.conflicts.count) == (1, conflicts)
        assert [conflict.trade_id for conflict in done.conflicts.named] == ["7"] * conflicts
    await run_all(settings)
    for candles in (await candles_by_place(settings)).values():
        for symbol, qty, _ in told.values():
            assert (candles[symbol, "1m", JAN_2][6], candles[symbol, "1m", JAN_2][4]) == (2, 1 + qty)
    for place, trades in (await trades_by_place(settings)).items():
        assert {symbol: trades[symbol, "7"][1] for symbol, _, _ in told.values()} == {
            symbol: qty for symbol, qty, _ in told.values()
        }, place
        assert len(trades) == 9, place


async def test_the_copy_that_counts_in_candles_is_the_one_that_stores_keep(settings: Settings, tmp_path: Path) -> None:
    whole = (CASES / "poorer-after" / f"1-whole-{MAY_2_DUMP}").read_text()
    paths = [tmp_path / folder / MAY_2_DUMP for folder in ("first", "mended")]
    for path, text in zip(paths, (whole, whole.replace("103,50,1", "103,61,1")), strict=True):
        path.parent.mkdir()
        path.write_text(text)
    request = ImportRequest(files=[paths[0]], described=Described())
    await import_recordings(settings, request, lambda *_: None, asyncio.Event())
    await run_all(settings)
    forced = replace(request, files=[paths[1]], force=True)
    await import_recordings(settings, forced, lambda *_: None, asyncio.Event())
    await run_all(settings)
    for place, candles in (await candles_by_place(settings)).items():
        if ("QAN-USDT", "1m", MAY_2 + MINUTE_MS) in candles:
            assert candles["QAN-USDT", "1m", MAY_2 + MINUTE_MS][1] == 61, place
    for place, trades in (await trades_by_place(settings)).items():
        assert trades["QAN-USDT", "103"][0] == 61, place


async def test_every_store_holds_a_quote_volume_of_nineteen_decimals(settings: Settings) -> None:
    await imported(settings, "tiny-price/tiny.jsonl", **TWO_MINUTES)
    await run_all(settings)
    for place, candles in (await candles_by_place(settings)).items():
        assert candles["TINY-USDT", "1m", JAN_2][5] == Decimal("0.0000018888876988785"), place
        assert candles["TINY-USDT", "1m", JAN_2 + MINUTE_MS][5] == Decimal("0.00000000000385"), place


async def test_of_equal_times_the_order_of_the_file_decides(settings: Settings) -> None:
    await imported(settings, "equal-times/uuid.jsonl", **TWO_MINUTES)
    await run_all(settings)
    for place, candles in (await candles_by_place(settings)).items():
        assert (candles["UID-USDT", "1m", JAN_2][0], candles["UID-USDT", "1m", JAN_2][3]) == (100, 101), place
