"""The feed on a real Kafka when the exchange's clock and messages are wrong, and what Kafka holds of it too."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eventually import eventually
from feed_log import MINUTE_US, check_markers, published, read_events, read_log, sent
from feeding import START_US, SYMBOLS, feeding, marked_until_us

from market.codec import encode_marker, encode_progress, progress_key
from market.feed import Progress
from market.topics import Topics
from market.trade import Marker, Proof
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from producers.simulator.tape import text_frame
from runtime.kafka import Outgoing, Publisher, read_to_end
from runtime.settings import Settings

SPEED = 120.0
HOUR_MS = 3_600_000
BUSY = "SOLUSDT"


@asynccontextmanager
async def simulator(settings: Settings) -> AsyncIterator[tuple[SimulatedExchange, Settings]]:
    """A simulated exchange in this process, and settings that lead to it."""
    simulated = SimulatorSettings(symbols=tuple(SYMBOLS), speed=SPEED, start_us=START_US, port=0)
    async with serving(simulated) as (exchange, address):
        hosts = {"binance_rest": address, "binance_ws": address.replace("http", "ws"), "fill_timeout_s": 60.0}
        yield exchange, settings.model_copy(update=hosts)


def say(exchange: SimulatedExchange, **event: Any) -> None:
    """Send an event of our own over all connections."""
    frame = text_frame(json.dumps({"stream": "x", "data": {"s": BUSY, **event}}))
    for connection in exchange.connections:
        connection.pending.append((exchange.now_ms, None, frame))  # type: ignore[arg-type]  # of no channel


def trade(exchange: SimulatedExchange, **changes: Any) -> dict[str, Any]:
    """The next trade's message, before it happens."""
    number = exchange.archives[BUSY].next_ids(1, exchange.now_ms).first
    now_ms = exchange.now_ms
    return {"e": "trade", "E": now_ms, "t": number, "p": "20.5", "q": "1", "T": now_ms, "m": True} | changes


async def marked(settings: Settings, until_us: int) -> None:
    async def far_enough() -> bool:
        return await marked_until_us(settings) >= until_us

    await eventually(far_enough, timeout_s=60, every_s=0.2)


async def check(settings: Settings) -> None:
    """Everything that was sent is there, and before its minute's marker; each is proved."""
    for symbol, log in (await read_log(settings)).items():
        truth = await sent(settings.binance_rest, symbol.replace("-", ""), log.begin_us, log.end_us)
        assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
        check_markers(log, truth, strict=True)
        assert {trade_id.proof for trade_id in log.closed} == {"ids"}


async def dead_letters(settings: Settings) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
    topic = settings.topics.dead_letters(settings.topics.trades)
    return [
        (record.key, record.value, dict(record.headers))
        async for records in read_to_end(settings, topic)
        for record in records
    ]


async def test_single_messages_of_another_time_move_no_minute(settings: Settings, topics: Topics) -> None:  # noqa: ARG001
    async with simulator(settings) as (exchange, hosts):
        async with feeding(hosts):
            await marked(hosts, START_US + MINUTE_US)
            for off_ms in (90_000, HOUR_MS, 8_760 * HOUR_MS, -HOUR_MS, -8_760 * HOUR_MS):
                say(exchange, e="kline", E=exchange.now_ms + off_ms)
                if off_ms >= HOUR_MS:  # at this pace 90 s are less than a second of ours
                    say(exchange, **trade(exchange, E=exchange.now_ms + off_ms, T=exchange.now_ms + off_ms))
                await marked(hosts, exchange.now_us + 2 * MINUTE_US)  # a `begin` lies less than a minute ahead
        await check(hosts)
        events = [event["event"] for event in await read_events(hosts)]
        assert "clock_ignored" in events
        assert "disconnected" not in events, "one wrong message is no reason to leave"


async def test_what_is_no_trade_is_a_dead_letter_and_the_connection_goes_on(
    settings: Settings,
    topics: Topics,  # noqa: ARG001
) -> None:
    async with simulator(settings) as (exchange, hosts):
        async with feeding(hosts):
            await marked(hosts, START_US + 6 * MINUTE_US)
            wrong: list[dict[str, Any]] = [
                {"p": "0"}, {"q": "0.00"}, {"T": 2**63 - 1}, {"T": 5}, {"p": "1e3"}, {"t": "x"},
                {"T": exchange.now_ms + 8_760 * HOUR_MS},
            ]  # fmt: skip
            for changes in wrong:
                say(exchange, **trade(exchange, **changes))

            async def all_told() -> bool:
                return len(await dead_letters(hosts)) == len(wrong)

            await eventually(all_told, timeout_s=30, every_s=0.2)
            await marked(hosts, exchange.now_us + 2 * MINUTE_US)
        await check(hosts)
        letters = await dead_letters(hosts)
        assert {key for key, _, _ in letters} == {b"binance:SOL-USDT"}
        assert b'"p": "0"' in (letters[0][1] or b""), "as it was sent"
        assert b"price is 0" in letters[0][2]["__streams.errors.message"]
        assert "disconnected" not in {event["event"] for event in await read_events(hosts)}


async def test_progress_that_cannot_be_used_stops_nobody(settings: Settings, topics: Topics) -> None:
    async with simulator(settings) as (exchange, hosts):
        async with feeding(hosts):
            await marked(hosts, START_US + 2 * MINUTE_US)
        next_year_us = (time.time_ns() // 1000 // MINUTE_US + 525_600) * MINUTE_US
        fine = Marker(
            complete_until_us=START_US // MINUTE_US * MINUTE_US + 2 * MINUTE_US, published_until_us=0, proof=Proof.IDS
        )
        absurd = Marker(
            complete_until_us=next_year_us, published_until_us=next_year_us, proof=Proof.IDS, last_trade_id="9"
        )
        async with Publisher(hosts) as publisher:
            for symbol, headers in (
                ("SOL-USDT", encode_marker(absurd)),
                ("LTC-USDT", [("complete_until_us", b"x"), ("published_until_us", b"x"), ("proof", b"?")]),
            ):
                key = f"binance:{symbol}"
                value = encode_progress(Progress(key=key, complete_until_us=fine.complete_until_us))
                record = Outgoing(progress_key(key, None), value, headers)
                await publisher.await_acknowledgements(
                    await publisher.send_batches(topics.progress, [record], hosts.partitions)
                )
        async with feeding(hosts):
            await marked(hosts, exchange.now_us + 2 * MINUTE_US)
        await check(hosts)


async def test_a_symbol_without_any_usable_progress_begins_anew_and_says_so(settings: Settings, topics: Topics) -> None:
    key = "binance:SOL-USDT"
    async with simulator(settings) as (exchange, hosts):
        async with Publisher(hosts) as publisher:
            record = Outgoing(
                progress_key(key, None),
                encode_progress(Progress(key=key, complete_until_us=0)),
                [("complete_until_us", b"9999999999999999999"), ("published_until_us", b"1"), ("proof", b"ids")],
            )
            await publisher.await_acknowledgements(
                await publisher.send_batches(topics.progress, [record], hosts.partitions)
            )
        async with feeding(hosts):
            await marked(hosts, START_US)  # all have begun
            await marked(hosts, exchange.now_us + 2 * MINUTE_US)
        await check(hosts)
        [hole] = [event for event in await read_events(hosts) if event["event"] == "hole"]
        assert hole["symbol"] == "SOL-USDT"
        assert f"{topics.progress}/" in hole["reason"]
