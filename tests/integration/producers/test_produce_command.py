"""``candlewick produce`` as a process: killed, stopped, misused."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from eventually import eventually
from feed_log import MINUTE_US, check_markers, published, read_log, sent
from feeding import SYMBOLS, Exchange, marked_until_us

from runtime.settings import Settings

NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def produce(
    environment: dict[str, str], settings: Settings, *symbols: str, reads: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    hosts = {"CANDLEWICK_BINANCE_WS": settings.binance_ws, "CANDLEWICK_BINANCE_REST": settings.binance_rest}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "candlewick", "produce", "binance", *symbols,
        env=environment | hosts, stderr=subprocess.PIPE, stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_killed_again_and_again_it_loses_nothing(exchange: Exchange, environment: dict[str, str]) -> None:
    async with exchange() as settings:
        for life in range(4):
            before_us = await marked_until_us(settings)
            async with produce(environment, settings, *SYMBOLS) as process:

                async def further(than_us: int = before_us + MINUTE_US) -> bool:
                    return await marked_until_us(settings) > than_us

                await eventually(further, timeout_s=60, every_s=0.2)
                if life == 3:
                    process.terminate()
                    _, errors = await process.communicate()
                    assert (process.returncode, b"Traceback" in errors) == (0, False), errors.decode()
        logs = await read_log(settings)
        assert max(len([minute for minute in log.minutes if minute.proof == "begin"]) for log in logs.values()) == 4
        for symbol, log in logs.items():
            truth = await sent(settings.binance_rest, symbol.replace("-", ""), log.begin_us, log.end_us)
            assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
            assert {trade_id.proof for trade_id in log.closed} == {"ids"}
            check_markers(log, truth, strict=True)


@pytest.mark.parametrize(
    ("wrong", "symbols", "code", "says"),
    [
        ({}, ["BTCUSDT", "NOPEUSDT"], 2, "does not have all of BTCUSDT, NOPEUSDT"),
        ({}, [], 2, "no symbols"),
        ({"CANDLEWICK_BINANCE_REST": NOWHERE}, ["BTCUSDT"], 1, "does not answer"),
        ({"CANDLEWICK_KAFKA": "127.0.0.1:9"}, ["BTCUSDT"], 1, "Kafka at 127.0.0.1:9 does not answer"),
        ({"CANDLEWICK_BINANCE_WS": "data-stream"}, ["BTCUSDT"], 2, "CANDLEWICK_BINANCE_WS"),
    ],
    ids=["unknown-symbol", "no-symbol", "no-exchange", "no-kafka", "wrong-setting"],
)
async def test_what_is_wrong_is_told_in_a_sentence(
    exchange: Exchange, environment: dict[str, str], wrong: dict[str, str], symbols: list[str], code: int, says: str
) -> None:
    async with exchange() as settings:
        hosts = {"CANDLEWICK_BINANCE_WS": settings.binance_ws, "CANDLEWICK_BINANCE_REST": settings.binance_rest}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "candlewick", "produce", "binance", *symbols,
            env=environment | hosts | wrong, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(process.communicate(), 40)
        assert process.returncode == code, errors.decode()
        assert says in errors.decode()
        assert "Traceback" not in errors.decode()


async def test_an_exchange_is_proved_by_a_short_run_with_a_break_in_it(
    exchange: Exchange, environment: dict[str, str]
) -> None:
    async with exchange() as settings:
        async with produce(environment, settings, *SYMBOLS, "--for", "8s", "--check", reads=True) as process:
            output, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (output.decode(), errors.decode()[-3000:])
        lines = output.decode().splitlines()
        assert len(lines) == len(SYMBOLS)
        assert all(line.endswith(": proved") for line in lines)
