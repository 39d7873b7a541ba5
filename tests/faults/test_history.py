"""History behind live: imports, repairs and their repetitions, with the real import and the real engine.

Live candles are held against the pure core over the log without the records of runs; those of runs against what polars
computes from the files.
"""

import asyncio
import random
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_engine import fill, one_pass, read_all
from dumps import BTC, candles_of, simulated
from market_log import MINUTE, START, Feed, Log, history
from past_log import tell_progress
from ranges import candles, recomputed

from candlewick.recompute.comparison import compare_recomputation
from market.codec import RUN_HEADER, decode_marker, encode_candle, header
from market.topics import Topics
from market.trade import Marker, Proof
from processors.candles.config import CandlesConfig
from processors.candles.core import Core, Rules
from processors.candles.worker import run_candles
from processors.engine import worker
from producers.archive import publishing
from producers.archive.importing import ImportRequest, InterruptedImportError, import_recordings
from producers.archive.reading import Reading
from producers.archive.recording import Described
from runtime.errors import CandlewickError
from runtime.settings import Settings

KEY = "binance:BTC-USDT"
JAN_8 = 1_610_064_000_000
FEB_1, FEB_2 = 1_612_137_600_000, 1_612_224_000_000
HOUR = 3_600_000
BTC_IMPORT = ImportRequest(files=[BTC], described=Described(), complete_until_us=(JAN_8 + 3 * 60_000) * 1000)

pytestmark = [pytest.mark.usefixtures("topics"), pytest.mark.timeout(300)]


def live_log(seed: int, minutes: int) -> Log:
    """One feed of the key, some minutes of 2023."""
    rng = random.Random(seed)
    log, progress = Log(), dict[str, Marker]()
    feed = Feed(KEY, history(rng, KEY, minutes + 1), rng)
    feed.start(log, progress, START)
    for second in range(0, minutes * 60, 20):
        feed.advance(log, progress, START + second * 1_000_000)
    return log


async def live_alone(settings: Settings) -> list[bytes]:
    """What the core makes of the log's live records alone, at the offsets where they stand."""
    made: list[bytes] = []
    records = await read_all(settings, settings.topics.trades)
    for partition in range(settings.partitions):
        own = [one for one in records if one.partition == partition and header(one.headers, RUN_HEADER) is None]
        core = Core(partition=partition, partitions=settings.partitions, position=0, rules=Rules(), awaits_floor=False)
        made += (encode_candle(candle) for candle, _ in core.process(own).candles)
    return sorted(made)


async def live_candles(settings: Settings) -> list[bytes]:
    return sorted(value for _, run, _, value in await candles(settings, settings.topics.candles()) if not run)


async def newest(settings: Settings, *, from_ms: int, until_ms: int, run: bytes | None = None) -> list[dict[str, Any]]:
    """By minute the candle of the highest revision, of all series or of one run, without the revision."""
    by_minute: dict[int, dict[str, Any]] = {}
    for _, of_run, _, value in await candles(settings, settings.topics.candles(), from_ms * 1000, until_ms * 1000):
        candle = orjson.loads(value)
        known = by_minute.get(candle["open_time_ms"], {"revision": -1})
        if run in (None, of_run) and candle["revision"] > known["revision"]:
            by_minute[candle["open_time_ms"]] = candle
    return [
        {name: value for name, value in candle.items() if name != "revision"} for _, candle in sorted(by_minute.items())
    ]


def unwatched(_: Reading, __: int) -> None:
    """Nobody looks."""


async def imported(settings: Settings, request: ImportRequest) -> str:
    (done,) = await import_recordings(settings, request, unwatched, asyncio.Event())
    return done.run


async def import_command(environment: dict[str, str], dump: Path, until_ms: int) -> int:
    words = ["-m", "candlewick", "import", str(dump), "--complete-until", str(until_ms)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    return await asyncio.wait_for(process.wait(), 120)


async def test_two_imports_of_old_months_at_once_while_the_key_is_live(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    one = simulated(tmp_path, "BTCUSDT", "trades", "2021-02-01", FEB_1, 2)
    two = simulated(tmp_path, "BTCUSDT", "trades", "2021-02-02", FEB_2, 2)
    log = live_log(71, 240)
    stop = asyncio.Event()
    engine = asyncio.create_task(run_candles(settings, CandlesConfig(), stop))
    imports = asyncio.gather(
        import_command(environment, one, FEB_1 + 2 * HOUR), import_command(environment, two, FEB_2 + 2 * HOUR)
    )
    sent = 0
    while sent < len(log.records) or not imports.done():
        await fill(settings, Log(records=log.records[sent : sent + 10]))
        sent += 10
        await asyncio.sleep(0.02)
    assert await imports == [0, 0]
    stop.set()
    await asyncio.wait_for(engine, 30)
    await one_pass(settings)
    kinds = [header(one.headers, RUN_HEADER) for one in await read_all(settings, settings.topics.trades)]
    changes = sum(left != right for left, right in pairwise(kinds))
    assert changes > 4, "live and runs did not stand between each other"
    assert await live_candles(settings) == await live_alone(settings) != []
    for dump, begin in ((one, FEB_1), (two, FEB_2)):
        expected = candles_of(dump, "binance", "BTC-USDT", begin, begin + 2 * HOUR)
        assert await newest(settings, from_ms=begin, until_ms=begin + 2 * HOUR) == expected


async def test_overlapping_imports_and_the_same_one_twice_at_once(settings: Settings, tmp_path: Path) -> None:
    await fill(settings, live_log(72, 40))
    dump = simulated(tmp_path, "BTCUSDT", "trades", "2021-02-01", FEB_1, 3)
    whole = ImportRequest(files=[dump], described=Described(), complete_until_us=(FEB_1 + 3 * HOUR) * 1000)
    part = replace(whole, complete_from_us=(FEB_1 + HOUR) * 1000, complete_until_us=(FEB_1 + 2 * HOUR) * 1000)
    outcomes = await asyncio.gather(
        *(imported(settings, request) for request in (whole, part, whole)), return_exceptions=True
    )
    runs = {one for one in outcomes if isinstance(one, str)}
    refused = [one for one in outcomes if not isinstance(one, str)]
    assert len(runs) == 2
    assert all(isinstance(one, CandlewickError) and "by another process" in str(one) for one in refused)
    await one_pass(settings)
    assert await live_candles(settings) == await live_alone(settings) != []
    expected = candles_of(dump, "binance", "BTC-USDT", FEB_1, FEB_1 + 3 * HOUR)
    assert await newest(settings, from_ms=FEB_1, until_ms=FEB_1 + 3 * HOUR) == expected


async def test_an_interrupted_run_published_again_makes_each_candle_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STEP_TRADES", 500)
    await fill(settings, live_log(73, 40))
    dump = simulated(tmp_path, "BTCUSDT", "trades", "2021-02-01", FEB_1, 3)
    request = ImportRequest(files=[dump], described=Described(), complete_until_us=(FEB_1 + 3 * HOUR) * 1000)
    stop, rows = asyncio.Event(), [0]

    def stopping(reading: Reading, count: int) -> None:
        rows[0] += count if reading is Reading.PUBLISHING else 0
        if rows[0] > 2_000:
            stop.set()

    with suppress(InterruptedImportError):
        await import_recordings(settings, request, stopping, stop)
    cut = [one for one in await read_all(settings, settings.topics.trades) if header(one.headers, RUN_HEADER)]
    markers = [marker for one in cut if one.value is None and (marker := decode_marker(one.headers)) is not None]
    assert len(markers) > 5
    assert not any(marker.end for marker in markers)
    await one_pass(settings)
    before = await candles(settings, settings.topics.candles())
    await imported(settings, request)
    await one_pass(settings)
    after = await candles(settings, settings.topics.candles())
    assert [line for line in before if line not in after] == []
    expected = candles_of(dump, "binance", "BTC-USDT", FEB_1, FEB_1 + 3 * HOUR)
    assert await newest(settings, from_ms=FEB_1, until_ms=FEB_1 + 3 * HOUR) == expected
    assert len([line for line in after if line[1]]) == len(expected)
    assert await live_candles(settings) == await live_alone(settings) != []


async def test_a_repair_of_a_hole_replaces_it_and_stands_in_a_recomputation(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = BTC.read_text().splitlines()
    log = Log(now_ms=JAN_8)
    log.marker(KEY, JAN_8 * 1000, Proof.BEGIN)
    for row in rows[:900]:
        trade_id, price, qty, _, time_ms, is_maker, _ = row.split(",")
        fields = {
            "exchange": "binance", "symbol": "BTC-USDT", "trade_id": trade_id, "price": price.rstrip("0") + "0",
            "qty": qty, "side": "sell" if is_maker == "True" else "buy", "time_us": int(time_ms) * 1000,
        }  # fmt: skip
        log.append(KEY, orjson.dumps(fields))
    for minute in range(1, 31):
        log.marker(KEY, JAN_8 * 1000 + minute * MINUTE, Proof.HOLE if minute == 1 else Proof.IDS)
    await fill(settings, log)
    await tell_progress(settings, log)
    await one_pass(settings)
    (hole, *_) = await newest(settings, from_ms=JAN_8, until_ms=JAN_8 + 60_000)
    assert (hole["status"], hole["trades"]) == ("hole", 900)
    await imported(settings, BTC_IMPORT)
    await one_pass(settings)
    mended, *quiet = candles_of(BTC, "binance", "BTC-USDT", JAN_8, JAN_8 + 3 * 60_000)
    expected = [mended, *({**candle, "status": "complete"} for candle in quiet)]  # live ids had proved that before
    assert await newest(settings, from_ms=JAN_8, until_ms=JAN_8 + 3 * 60_000) == expected
    assert await live_candles(settings) == await live_alone(settings)

    from_us = JAN_8 * 1000
    monkeypatch.setattr(worker, "POLL_BATCHES", 1)  # what is read behind the repair is read because it is there
    done = await recomputed(settings, from_us, from_us + 5 * MINUTE)
    assert (done.is_final, done.candles, done.of_runs) == (True, 10, 5)  # the minutes without trades after it too
    assert await candles(settings, topics.beside("fix").candles()) == await candles(
        settings, topics.candles(), from_us, from_us + 5 * MINUTE
    )
    assert (await compare_recomputation(settings, "fix")).right
