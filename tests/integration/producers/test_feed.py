"""The feed on a real Kafka and the simulated exchange: what stands in the log is what the exchange sent."""

from typing import Any

import aiohttp
from eventually import eventually
from feed_log import MINUTE_US, KeyLog, check_markers, published, read_events, read_log, redelivered, sent
from feeding import SPEED, START_US, SYMBOLS, Exchange, feeding, marked_until_us

from runtime.settings import Settings

AFTER_US = START_US + 5 * MINUTE_US


async def faults(settings: Settings, **changes: Any) -> dict[str, Any]:
    """Change what goes wrong."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{settings.binance_rest}/sim/faults", json=changes) as response,
    ):
        return await response.json()


async def marked(settings: Settings, until_us: int) -> None:
    """Wait until every symbol's minutes are marked up to then."""

    async def far_enough() -> bool:
        return await marked_until_us(settings) >= until_us

    await eventually(far_enough, timeout_s=60, every_s=0.2)


async def traded_since(settings: Settings, ids: dict[str, str]) -> bool:
    logs = await read_log(settings)
    return all(any(int(trade["trade_id"]) > int(ids[symbol]) for trade in log.trades) for symbol, log in logs.items())


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
            await marked(settings, AFTER_US)
        logs = await check(settings, strict=True)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        assert sum(len(log.trades) for log in logs.values()) > 100
        assert [redelivered(log) for log in logs.values()] == [0] * len(SYMBOLS)


async def test_dropped_connections_are_filled_before_the_minutes_are_marked(exchange: Exchange) -> None:
    async with exchange(drop_every_s=1.0) as settings:
        async with feeding(settings):
            await marked(settings, START_US + 15 * MINUTE_US)
        logs = await check(settings, strict=True)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        events = {event["event"] for event in await read_events(settings)}
        assert {"connected", "disconnected", "gap_opened", "gap_filled"} <= events


async def test_messages_skipped_duplicated_and_swapped_are_made_good(exchange: Exchange) -> None:
    async with exchange(skip=0.002, duplicate=0.02, reorder=0.01, delay_ms=50.0) as settings:
        async with feeding(settings):
            await marked(settings, AFTER_US)
            await faults(settings, skip=0, duplicate=0, reorder=0)  # the last one skipped is shown by the next trade
            logs = await read_log(settings)
            shown = {symbol: log.trades[-1]["trade_id"] if log.trades else "0" for symbol, log in logs.items()}
            await eventually(lambda: traded_since(settings, shown), timeout_s=40, every_s=0.5)
        logs = await check(settings, strict=False)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"ids"}
        assert [redelivered(log) for log in logs.values()] == [0] * len(SYMBOLS), (
            "what the feed has acknowledged is not sent again"
        )


async def test_where_the_exchange_never_gives_trades_its_kline_stands_in_and_other_symbols_go_on(
    exchange: Exchange,
) -> None:
    async with exchange() as patient:
        settings = patient.model_copy(update={"fill_timeout_s": 2.0})
        busy, name = next(iter(SYMBOLS.items()))
        async with feeding(settings):
            await marked(settings, START_US)  # all have begun, some with a later minute than others
            begun_us = max(log.begin_us for log in (await read_log(settings)).values())
            await marked(settings, begun_us + MINUTE_US)
            answer = await faults(settings, withhold=f"{busy}:3")
            withheld = next(ids for ids in answer["withheld"] if ids["symbol"] == busy)
            minutes_waited = settings.fill_timeout_s * SPEED / 60
            await marked(settings, begun_us + int(5 + minutes_waited) * MINUTE_US)
        logs = await read_log(settings)
        [hole] = [event for event in await read_events(settings) if event["event"] == "hole"]
        assert (hole["symbol"], hole["first_id"], hole["last_id"]) == (
            name, str(withheld["first_id"]), str(withheld["last_id"]),
        )  # fmt: skip
        around = {int(trade["trade_id"]): trade["time_us"] for trade in logs[name].trades}
        first_us, last_us = around[withheld["first_id"] - 1], around[withheld["last_id"] + 1]
        touched = set(range(first_us // MINUTE_US, last_us // MINUTE_US + 1))
        given_up = [one for one in logs[name].closed if one.proof == "kline"]
        assert {one.until_us // MINUTE_US - 1 for one in given_up} == touched
        waited_ms = settings.fill_timeout_s * 1000 / 2
        for symbol, log in logs.items():
            if symbol != name:
                assert {trade_id.proof for trade_id in log.closed} == {"ids"}
                [same] = [one for one in log.closed if one.until_us == given_up[0].until_us]
                assert same.at_ms < given_up[0].at_ms - waited_ms, "the others' markers do not wait for the gap"
        truth = await sent(settings.binance_rest, busy, logs[name].begin_us, logs[name].end_us)
        assert published(logs[name].trades, logs[name].begin_us, logs[name].end_us) == truth


async def test_a_feed_that_comes_back_fills_the_hour_between(exchange: Exchange) -> None:
    async with exchange() as settings, feeding(settings):
        await marked(settings, START_US + 2 * MINUTE_US)
    later_us = START_US + 3_600_000_000
    async with exchange(start_us=later_us) as settings:
        async with feeding(settings):
            await marked(settings, later_us + 3 * MINUTE_US)
        logs = await check(settings, strict=True)
        for log in logs.values():
            assert {minute.proof for minute in log.closed} == {"ids"}
            assert log.end_us >= later_us + 3 * MINUTE_US
            assert len(log.closed) == (log.end_us - log.begin_us) // MINUTE_US
