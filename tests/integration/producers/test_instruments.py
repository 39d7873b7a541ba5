"""A feed on a real Kafka publishes its instruments, tells what is listed and delisted, and records what it reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from eventually import eventually
from feed_log import read_log
from feeding import START_US

from market.codec import decode_instrument
from market.instrument import Instrument, InstrumentStatus
from market.key import MarketKey
from producers.capture.playback import Playback
from producers.capture.reader import capture_files, read_captures
from producers.capture.recorder import CaptureSettings
from producers.exchanges.binance import Binance
from producers.feed import instruments, runner
from producers.feed.runner import run_feed
from producers.feed.selection import Selection, Shard
from producers.simulator.archive import Archive
from producers.simulator.history import GeneratedHistory
from producers.simulator.instruments import instrument
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.kafka import decoded
from runtime.settings import Settings

SIMULATED = SimulatorSettings(symbols=("SOLUSDT", "LTCUSDT", "XRPETH"), speed=240, start_us=START_US, port=0)
WHOLE = Selection(whole_market=True, quotes=frozenset({"USDT"}), shard=Shard(0, 1))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LISTINGS_EVERY_S", 0.5)
    monkeypatch.setattr(instruments, "ASK_EVERY_S", 0.5)
    monkeypatch.setattr(instruments, "LOOK_EVERY_S", 0.1)


@asynccontextmanager
async def running(settings: Settings, capture: CaptureSettings | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    feeding = asyncio.create_task(run_feed(settings, "binance", WHOLE, stop, capture=capture))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(feeding, 30)


async def told(settings: Settings) -> list[Instrument]:
    """All records, in the order of each key."""
    topic = settings.topics.instruments
    return [each async for record, each in decoded(settings, topic, decode_instrument) if _has_its_key(record, each)]


def _has_its_key(record: object, each: Instrument) -> bool:
    assert getattr(record, "key", None) == each.key.encode()
    return True


async def newest(settings: Settings) -> dict[str, tuple[str, Decimal | None, Decimal | None]]:
    return {each.symbol: (each.status.value, each.tick, each.lot) for each in await told(settings)}


@pytest.mark.usefixtures("topics", "soon")
async def test_instruments_are_published_at_the_start_and_when_the_list_changes(settings: Settings) -> None:
    async with serving(SIMULATED) as (exchange, address):
        hosts = {"binance_rest": address, "binance_ws": address.replace("http", "ws", 1)}
        mine = settings.model_copy(update=hosts)
        steps = {
            name: tuple(Decimal(step) for step in (instrument(native).price(1), instrument(native).qty(1)))
            for native, name in (("SOLUSDT", "SOL-USDT"), ("LTCUSDT", "LTC-USDT"), ("ADAUSDT", "ADA-USDT"))
        }

        async def are(**statuses: str) -> bool:
            wanted = {
                name.replace("_", "-"): (status, *steps[name.replace("_", "-")]) for name, status in statuses.items()
            }
            return await newest(mine) == wanted

        async with running(mine):
            await eventually(lambda: are(SOL_USDT="trading", LTC_USDT="trading"), timeout_s=30, every_s=0.2)
            exchange.archives["ADAUSDT"] = Archive(GeneratedHistory(SIMULATED.seed, instrument("ADAUSDT")))
            await eventually(
                lambda: are(SOL_USDT="trading", LTC_USDT="trading", ADA_USDT="trading"), timeout_s=30, every_s=0.2
            )
            gone = exchange.archives.pop("LTCUSDT")
            await eventually(
                lambda: are(SOL_USDT="trading", LTC_USDT="delisted", ADA_USDT="trading"), timeout_s=30, every_s=0.2
            )
            exchange.archives["LTCUSDT"] = gone  # the tape still plays it
        once = [each for each in await told(mine) if each.symbol == "SOL-USDT"]
        assert [each.status for each in once] == [InstrumentStatus.TRADING], "what does not change is told once"


@pytest.mark.usefixtures("topics")
async def test_what_a_feed_records_holds_all_that_it_published_of_the_stream(
    settings: Settings, tmp_path: Path
) -> None:
    async with serving(SIMULATED) as (_, address):
        hosts = {"binance_rest": address, "binance_ws": address.replace("http", "ws", 1)}
        mine = settings.model_copy(update=hosts)

        async def enough() -> bool:
            logs = await read_log(mine)
            return len(logs) == 2 and all(len(log.closed) >= 5 for log in logs.values())

        async with running(mine, CaptureSettings(folder=tmp_path / "frames", limit_bytes=10**8)):
            await eventually(enough, timeout_s=40, every_s=0.3)
        logs = await read_log(mine)
    binance = Binance(mine)
    playback = Playback(lambda _: binance, {})
    for captured in read_captures(capture_files([tmp_path / "frames"])):
        playback.take(captured)
    assert not playback.tally.cut_off
    for symbol, log in logs.items():
        streamed = {int(trade["trade_id"]) for trade in log.trades if trade["source"] == "ws"}
        recorded = playback.tally.symbols[MarketKey("binance", symbol)]
        assert len(streamed) > 10
        assert all(number in recorded.ids.numbers for number in streamed)
        assert recorded.missing == []
