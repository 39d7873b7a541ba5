"""What a connection of the feed records is what it read: played back, it gives the same messages."""

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
from eventually import eventually

from market.trade import Trade
from producers.capture.lines import EndedConnection, OpenedConnection
from producers.capture.playback import Playback
from producers.capture.reader import capture_files, read_captures
from producers.capture.recorder import CaptureSettings, recording
from producers.exchange import Message, TradeFrames
from producers.exchanges.binance import Binance
from producers.feed.connection import Connection
from producers.feed.inbox import FromConnection, Inbox
from producers.feed.pacing import Pacing
from producers.simulator.faults import Faults
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings
from runtime.telemetry import Meter

NAMES = {"SOLUSDT": "SOL-USDT", "BTCUSDT": "BTC-USDT"}
SIMULATED = SimulatorSettings(symbols=tuple(NAMES), speed=60.0, port=0, faults=Faults(drop_every_s=1.0))


async def test_a_recording_gives_the_trades_that_were_read_and_tells_the_lost_connections(tmp_path: Path) -> None:
    read: list[Trade] = []
    reasons = 0
    async with serving(SIMULATED) as (_, address), aiohttp.ClientSession() as http:
        binance = Binance(Settings(_env_file=None, binance_ws=address.replace("http", "ws", 1)))
        capture = CaptureSettings(folder=tmp_path, limit_bytes=10**8)
        async with recording(capture, "binance", Meter("produce")) as recorder:
            assert recorder is not None
            inbox = Inbox(10_000)
            connection = Connection(0, http, binance, NAMES, Pacing(0.0), record=recorder.connection(0, NAMES))
            task = asyncio.create_task(connection.run(inbox))

            async def enough() -> bool:
                nonlocal reasons
                for item in await inbox.take(wait_s=0.1, gather_s=0.0):
                    assert isinstance(item, FromConnection)
                    if isinstance(item.event, Message):
                        read.extend(item.event.trades)
                    elif isinstance(item.event, TradeFrames):
                        for frame, came_us in zip(item.event.frames, item.event.received_us, strict=True):
                            read.extend(binance.read(frame, NAMES, came_us).trades)
                    elif "reason" in item.event._fields:
                        reasons += 1
                return len(read) > 200 and reasons >= 2

            await eventually(enough, timeout_s=30)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await enough()  # what had come by then
    playback = Playback(lambda _: binance, {})
    captured = list(read_captures(capture_files([tmp_path])))
    again = [trade for line in captured for trade in playback.take(line)]
    unique = list({(trade.symbol, trade.trade_id): trade for trade in reversed(read)}.values())[::-1]
    assert again == unique
    assert sum(isinstance(each.line, OpenedConnection) for each in captured) >= reasons
    assert sum(isinstance(each.line, EndedConnection) for each in captured) == reasons
    assert (len(playback.tally.malformed), len(playback.tally.unreadable), len(playback.tally.cut_off)) == (0, 0, 0)
