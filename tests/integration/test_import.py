"""Imports beside what Kafka knows already: live data, candles, other publishers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from candle_engine import one_pass, read_all
from dumps import BTC

from market.codec import encode_progress, progress_key
from market.feed import Progress
from market.key import MarketKey
from market.topics import Topics
from market.trade import Proof
from producers.archive.claim import Claim
from producers.archive.dump import DumpKind
from producers.archive.importing import (
    ConflictError,
    Imported,
    ImportRequest,
    InterruptedImportError,
    import_recordings,
)
from producers.archive.known import read_progress
from producers.archive.reading import Reading
from producers.archive.recording import Described
from runtime.errors import CandlewickError, UsageError
from runtime.kafka import Outgoing, Publisher, ends
from runtime.settings import Settings

JAN_8_US = 1_610_064_000_000_000
MINUTE_US = 60_000_000
MARKET = MarketKey("binance", "BTC-USDT")
KEY = str(MARKET)
WHOLE = ImportRequest(files=[BTC], described=Described(), complete_until_us=JAN_8_US + 3 * MINUTE_US)

pytestmark = pytest.mark.usefixtures("topics")


def unwatched(_: Reading, __: int) -> None:
    """Nobody looks."""


async def imported(settings: Settings, request: ImportRequest = WHOLE) -> Imported:
    (done,) = await import_recordings(settings, request, unwatched, asyncio.Event())
    return done


def proofs(done: Imported) -> dict[Proof, int]:
    return dict(Counter(minute.proof for minute in done.plan.minutes))


async def newest_candles(settings: Settings) -> list[tuple[int, str]]:
    """Trades and status of each minute's newest candle, in order."""
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    newest = {candle["open_time_ms"]: candle for candle in sorted(candles, key=lambda candle: candle["revision"])}
    return [(candle["trades"], candle["status"]) for _, candle in sorted(newest.items())]


async def trades_end(settings: Settings) -> int:
    return sum(end.next for end in (await ends(settings, settings.topics.trades)).values())


def without(folder: Path, wrong: Callable[[int], bool]) -> Path:
    """The recording with some rows taken out."""
    path = folder / BTC.name
    path.write_text("".join(line for at, line in enumerate(BTC.read_text().splitlines(keepends=True)) if not wrong(at)))
    return path


async def tell_live(settings: Settings, until_us: int) -> None:
    async with Publisher(settings) as publisher:
        record = Outgoing(progress_key(KEY, None), encode_progress(Progress(key=KEY, complete_until_us=until_us)))
        await publisher.await_acknowledgements([await publisher.send(settings.topics.progress, record)])


async def test_a_run_stays_fifteen_minutes_behind_live(settings: Settings) -> None:
    await tell_live(settings, JAN_8_US + 17 * MINUTE_US)
    with pytest.raises(UsageError, match=r"not 15 minutes behind .*--complete-until 2021-01-08T00:02Z or earlier"):
        await imported(settings)
    assert await trades_end(settings) == 0
    await tell_live(settings, JAN_8_US + 18 * MINUTE_US)
    assert (await imported(settings)).trades == 2001


async def test_a_range_that_is_not_over_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match="which has not come yet"):
        await imported(settings, replace(WHOLE, complete_until_us=4_000_000_000_000_000))


async def test_only_what_changes_the_candles_there_are_is_published(settings: Settings, tmp_path: Path) -> None:
    holed = replace(WHOLE, files=[without(tmp_path, lambda at: at == 1000)])
    first = await imported(settings, holed)
    assert proofs(first) == {Proof.HOLE: 1, Proof.CONNECTION: 2}
    await one_pass(settings)
    better = await imported(settings)
    assert (proofs(better), better.plan.left, better.read_back) == ({Proof.CONNECTION: 1}, 2, 0)
    await one_pass(settings)
    end = await trades_end(settings)
    shorter = replace(WHOLE, files=[without(tmp_path, lambda at: at == 2000)])
    worse = await imported(settings, shorter)
    assert (proofs(worse), worse.plan.left) == ({}, 3)
    assert await trades_end(settings) == end
    assert await newest_candles(settings) == [(2001, "connected"), (0, "connected"), (0, "connected")]


async def test_a_poorer_file_that_follows_before_the_engine_ran_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    await imported(settings)
    poorer = replace(WHOLE, files=[without(tmp_path, lambda at: at == 1000)])
    assert proofs(await imported(settings, poorer)) == {}
    await one_pass(settings)
    assert await newest_candles(settings) == [(2001, "connected"), (0, "connected"), (0, "connected")]


async def test_rows_of_minutes_that_are_not_called_whole_are_kept(settings: Settings, topics: Topics) -> None:
    done = await imported(settings, replace(WHOLE, complete_from_us=JAN_8_US + MINUTE_US))
    assert (done.trades, done.plan.kept, proofs(done)) == (2001, 2001, {Proof.CONNECTION: 2})
    records = await read_all(settings, topics.trades)
    markers = [dict(record.headers) for record in records if record.value is None]
    assert {marker["last_price"] for marker in markers} == {b"39491.76"}
    await one_pass(settings)
    assert await newest_candles(settings) == [(0, "connected"), (0, "connected")]
    rest = await imported(settings)
    assert (proofs(rest), rest.plan.left) == ({Proof.CONNECTION: 1}, 2)
    await one_pass(settings)
    assert await newest_candles(settings) == [(2001, "connected"), (0, "connected"), (0, "connected")]


async def test_parts_of_one_minute_make_it_whole_in_any_order(settings: Settings, tmp_path: Path) -> None:
    lines = BTC.read_text().splitlines(keepends=True)
    parts = [tmp_path / f"part{at}.csv" for at in range(3)]
    for at, part in enumerate(parts):
        part.write_text("".join(lines[700 * at : 700 * at + 700]))
    described = Described(symbol="BTC-USDT", kind=DumpKind.TRADES)
    request = replace(WHOLE, files=[parts[2], parts[0], parts[1]], described=described, complete_from_us=JAN_8_US)
    done = await import_recordings(settings, request, unwatched, asyncio.Event())
    assert [(imported.plan.kept, imported.trades, imported.read_back) for imported in done] == [
        (601, 601, 0), (700, 700, 0), (0, 2001, 1301)
    ]  # fmt: skip
    await one_pass(settings)
    assert await newest_candles(settings) == [(2001, "connected"), (0, "connected"), (0, "connected")]


async def test_another_content_is_told_and_published_when_asked(settings: Settings, tmp_path: Path) -> None:
    await imported(settings)
    end = await trades_end(settings)
    lines = BTC.read_text().splitlines(keepends=True)
    cells = lines[1000].split(",")
    lines[1000] = ",".join([cells[0], "99999.5", *cells[2:]])
    mended = tmp_path / BTC.name
    mended.write_text("".join(lines))
    request = replace(WHOLE, files=[mended])
    with pytest.raises(ConflictError, match=f"other contents for 1 of its trade ids .id {cells[0]} at 2021-01-08T00"):
        await imported(settings, request)
    assert ConflictError.exit_code == 3
    assert await trades_end(settings) == end
    done = await imported(settings, replace(request, force=True))
    assert proofs(done) == {Proof.CONNECTION: 3}
    await one_pass(settings)
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    assert max(candles, key=lambda candle: (-candle["open_time_ms"], candle["revision"]))["high"] == "99999.5"


async def test_imports_of_a_market_wait_for_each_other(settings: Settings, tmp_path: Path) -> None:
    """Each plans on what the log holds: together they would both miss what the other publishes."""
    lines = BTC.read_text().splitlines(keepends=True)
    parts = [tmp_path / f"part{at}.csv" for at in range(2)]
    parts[0].write_text("".join(lines[:700]))
    parts[1].write_text("".join(lines[700:]))
    described = Described(symbol="BTC-USDT", kind=DumpKind.TRADES)
    request = replace(WHOLE, described=described, complete_from_us=JAN_8_US)
    await asyncio.gather(*(imported(settings, replace(request, files=[part])) for part in parts))
    await one_pass(settings)
    assert await newest_candles(settings) == [(2001, "connected"), (0, "connected"), (0, "connected")]


async def test_a_second_publisher_of_a_run_is_refused(settings: Settings) -> None:
    run = (await imported(settings)).run + "-2"
    async with Publisher(settings) as publisher:
        other = Claim(settings, publisher, MARKET, run)
        await other.take(await read_progress(settings, MARKET), asyncio.Event())
        at_work = asyncio.create_task(_heartbeats(other))
        end = await trades_end(settings)
        with pytest.raises(CandlewickError, match="is being published by another process"):
            await imported(settings, replace(WHOLE, force=True))
        at_work.cancel()
    assert await trades_end(settings) == end
    assert (await imported(settings, replace(WHOLE, force=True))).run == run  # the other has gone


async def test_a_run_that_another_finished_meanwhile_stays_finished(settings: Settings) -> None:
    before = await read_progress(settings, MARKET)
    run = (await imported(settings)).run
    async with Publisher(settings) as publisher:
        late = Claim(settings, publisher, MARKET, run)
        assert not await late.take(before, asyncio.Event())
    newest = (await read_progress(settings, MARKET)).runs[-1]  # what compaction leaves
    assert (newest.run, newest.finished, newest.until_us) == (run, True, JAN_8_US + 3 * MINUTE_US)


async def _heartbeats(claim: Claim) -> None:
    while True:
        await claim.heartbeat(0)
        await asyncio.sleep(0.2)


async def test_a_file_that_changes_meanwhile_never_becomes_a_candle(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / BTC.name
    rows = BTC.read_text().splitlines()
    rows += [f"{553289560 + at},39400.5,0.001,1,{1_610_064_060_000 + at},True,True" for at in range(25_000)]
    path.write_text("\n".join(rows) + "\n")  # more than are published before the first minute's marker
    changed = path.read_text().replace(f"{553289560 + 24_000},39400.5,", f"{553289560 + 24_000},39400.6,")

    def change(reading: Reading, _: int) -> None:
        if reading is Reading.PUBLISHING:
            path.write_text(changed)

    with pytest.raises(CandlewickError, match="was changed while it was imported"):
        await import_recordings(settings, replace(WHOLE, files=[path]), change, asyncio.Event())
    assert not (await read_progress(settings, MARKET)).finished
    records = await read_all(settings, settings.topics.trades)
    markers = [dict(record.headers) for record in records if record.value is None]
    assert [(marker["proof"], int(marker["complete_until_us"])) for marker in markers] == [
        (b"begin", JAN_8_US), (b"connection", JAN_8_US + MINUTE_US)
    ]  # fmt: skip
    assert not [record for record in records if b"39400.6" in (record.value or b"")]
    await one_pass(settings)
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    assert [(candle["open_time_ms"] * 1000, candle["trades"]) for candle in candles] == [(JAN_8_US, 2001)]


async def test_what_is_missing_is_told_once_a_stretch(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / BTC.name
    path.write_text(BTC.read_text() + "553289560,39400")  # cut off: minutes 0 to 2 may have lost a trade
    done = await imported(settings, replace(WHOLE, files=[path], skip_bad=True))
    assert (done.bad, proofs(done)) == (1, {Proof.HOLE: 3})
    await one_pass(settings)
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    assert {candle["status"] for candle in candles} == {"hole"}
    events = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.feeds)]
    assert [(event["event"], event["from_us"], event["until_us"], event["run"]) for event in events] == [
        (kind, JAN_8_US, JAN_8_US + 3 * MINUTE_US, done.run) for kind in ("run_begun", "hole", "run_ended")
    ]


async def test_a_signal_stops_it_and_it_can_be_repeated(settings: Settings) -> None:
    stop = asyncio.Event()

    def stopping(reading: Reading, _: int) -> None:
        if reading is Reading.PUBLISHING:
            stop.set()

    with pytest.raises(InterruptedImportError):
        await import_recordings(settings, WHOLE, stopping, stop)
    assert not (await read_progress(settings, MARKET)).finished
    assert (await imported(settings)).trades == 2001
    assert (await imported(settings)).finished_before
