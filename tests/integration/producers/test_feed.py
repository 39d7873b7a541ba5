"""The feed on a real Kafka and the simulated exchange: what stands in the log is what the exchange sent."""

from typing import Any

import aiohttp
from eventually import eventually
from feed_log import MINUTE_US, KeyLog, check_markers, published, read_events, read_log, redelivered, sent
from feeding import SPEED, START_US, SYMBOLS, Exchange, feeding

from producers.simulator.instruments import instrument
from runtime.settings import Settings

MINUTES = 8


def symbol_of(native: str) -> str:
    listed = instrument(native)
    return f"{listed.base}-{listed.quote}"


async def faults(settings: Settings, **changes: Any) -> dict[str, Any]:
    """Change what goes wrong."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{settings.binance_rest}/sim/faults", json=changes) as response,
    ):
        return await response.json()


async def marked(settings: Settings, minutes: int) -> dict[str, KeyLog]:
    """The log, once each key has so many minutes marked."""

    async def enough() -> dict[str, KeyLog] | None:
        logs = await read_log(settings)
        marked_enough = len(logs) == len(SYMBOLS) and all(len(log.closed) >= minutes for log in logs.values())
        return logs if marked_enough else None

    return await eventually(enough, timeout_s=40, every_s=0.3)


async def marked_until(settings: Settings, until_us: int) -> bool:
    logs = await read_log(settings)
    return all(log.end_us >= until_us for log in logs.values())


async def traded_since(settings: Settings, ids: dict[str, str]) -> bool:
    logs = await read_log(settings)
    return all(any(trade["trade_id"] > ids[symbol] for trade in log.trades) for symbol, log in logs.items())


async def holes(settings: Settings) -> bool:
    logs = await read_log(settings)
    return any(minute.proof == "hole" for log in logs.values() for minute in log.closed)


async def check(settings: Settings, *, strict: bool) -> dict[str, KeyLog]:
    logs = await read_log(settings)
    for symbol, log in logs.items():
        truth = await sent(settings.binance_rest, symbol.replace("-", ""), log.begin_us, log.end_us)
        assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
        check_markers(log, truth, strict=strict)
    return logs


async def test_what_an_exchange_sends_stands_in_kafka_once_and_every_minute_is_marked(exchange: Exchange) -> None:
    async with exchange() as settings:
        async with feeding(settings):
            await marked(settings, MINUTES)
        logs = await check(settings, strict=True)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        assert sum(len(log.trades) for log in logs.values()) > 1_000
        assert [redelivered(log) for log in logs.values()] == [0] * 5


async def test_dropped_connections_are_filled_before_the_minutes_are_marked(exchange: Exchange) -> None:
    async with exchange(drop_every_s=1.0) as settings:
        async with feeding(settings):
            await marked(settings, 2 * MINUTES)
        logs = await check(settings, strict=True)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        events = {event["event"] for event in await read_events(settings)}
        assert {"connected", "disconnected", "gap_opened", "gap_filled"} <= events


async def test_messages_skipped_duplicated_and_swapped_are_made_good(exchange: Exchange) -> None:
    async with exchange(skip=0.002, duplicate=0.02, reorder=0.01, delay_ms=50.0) as settings:
        async with feeding(settings):
            await marked(settings, MINUTES)
            await faults(settings, skip=0, duplicate=0, reorder=0)  # the last one skipped is shown by the next trade
            logs = await marked(settings, 2 * MINUTES)
            shown = {symbol: log.trades[-1]["trade_id"] for symbol, log in logs.items()}
            await eventually(lambda: traded_since(settings, shown), timeout_s=40, every_s=0.5)
        logs = await check(settings, strict=False)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        assert [redelivered(log) for log in logs.values()] == [0] * 5, (
            "what the feed has acknowledged is not sent again"
        )


async def test_what_the_exchange_never_gives_is_a_hole_and_other_symbols_go_on(exchange: Exchange) -> None:
    async with exchange() as patient:
        settings = patient.model_copy(update={"fill_timeout_s": 2.0})
        busy = SYMBOLS[0]
        async with feeding(settings):
            await marked(settings, 2)
            answer = await faults(settings, withhold=f"{busy}:3")
            withheld = next(ids for ids in answer["withheld"] if ids["symbol"] == busy)
            await eventually(lambda: holes(settings), timeout_s=40, every_s=0.5)
        logs = await read_log(settings)
        name = symbol_of(busy)
        [hole] = [event for event in await read_events(settings) if event["event"] == "hole"]
        assert (hole["symbol"], hole["first_id"], hole["last_id"]) == (
            name, str(withheld["first_id"]), str(withheld["last_id"]),
        )  # fmt: skip
        around = {int(trade["trade_id"]): trade["time_us"] for trade in logs[name].trades}
        first_us, last_us = around[withheld["first_id"] - 1], around[withheld["last_id"] + 1]
        touched = set(range(first_us // MINUTE_US, last_us // MINUTE_US + 1))
        assert {one.until_us // MINUTE_US - 1 for one in logs[name].closed if one.proof == "hole"} == touched
        for symbol, log in logs.items():
            if symbol != name:
                assert {one.proof for one in log.closed} == {"ids"}
                assert len(log.closed) > 2 + settings.fill_timeout_s * SPEED / 60, (
                    "their markers did not wait for the gap"
                )
        truth = await sent(settings.binance_rest, busy, logs[name].begin_us, logs[name].end_us)
        assert published(logs[name].trades, logs[name].begin_us, logs[name].end_us) == truth


async def test_a_feed_that_comes_back_fills_the_hour_between(exchange: Exchange) -> None:
    async with exchange() as settings, feeding(settings):
        await marked(settings, 2)
    later_us = START_US + 3_600_000_000
    async with exchange(start_us=later_us) as settings:
        async with feeding(settings):
            await eventually(lambda: marked_until(settings, later_us + 5 * MINUTE_US), timeout_s=40, every_s=0.5)
        logs = await check(settings, strict=True)
        for log in logs.values():
            assert {minute.proof for minute in log.closed} == {"ids"}
            assert len(log.closed) > 60
