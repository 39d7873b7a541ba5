"""Backfills from the simulated exchange into the real Kafka (about a minute): faults, kills, live data, klines."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest
from candle_engine import one_pass, read_all
from eventually import eventually
from feed_log import published, read_log, sent
from feeding import START_US, Exchange

from market.codec import encode_progress, progress_key
from market.feed import Progress
from market.key import MarketKey
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.known import read_progress
from producers.backfill.asking import InterruptedBackfillError
from producers.backfill.backfill import BackfillRequest, backfill
from producers.backfill.symbol import Backfilled
from runtime.errors import UsageError
from runtime.kafka import Outgoing, Publisher, ends
from runtime.settings import Settings

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = START_US - START_US % MINUTE
FROM, UNTIL = START - 3 * HOUR, START - HOUR
SYMBOLS = ("SOLUSDT", "LTC-USDT")
FAULTS = {
    "truncated": 0.2, "disordered": 0.05, "repeated": 0.05, "broken_row": 0.05,
    "rest_429_every_s": 3.0, "rest_429_s": 0.5,
}  # fmt: skip
QUIET = BackfillRequest(exchange="binance", symbols=["XRP-ETH"], from_us=FROM, until_us=UNTIL)


async def backfilled(
    settings: Settings, request: BackfillRequest, stop: asyncio.Event | None = None
) -> dict[str, Backfilled]:
    results: dict[str, Backfilled] = {}

    def note(result: Backfilled) -> None:
        results[result.key.symbol] = result

    await backfill(settings, request, lambda *_: None, note, stop or asyncio.Event())
    return results


async def end_of_trades(settings: Settings) -> int:
    return sum(end.next for end in (await ends(settings, settings.topics.trades)).values())


async def statuses(settings: Settings, symbol: str, from_us: int, until_us: int) -> Counter[str]:
    """Of the newest candle of each minute."""
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    newest = {
        candle["open_time_ms"]: candle["status"]
        for candle in sorted(candles, key=lambda candle: candle["revision"])
        if candle["symbol"] == symbol and from_us <= candle["open_time_ms"] * 1000 < until_us
    }
    return Counter(newest.values())


async def amounts(settings: Settings) -> dict[int, tuple[object, ...]]:
    """The figures of the newest candle of each minute of the range."""
    names = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    return {
        candle["open_time_ms"]: tuple(candle[name] for name in names)
        for candle in sorted(candles, key=lambda candle: candle["revision"])
        if FROM <= candle["open_time_ms"] * 1000 < UNTIL
    }


def command(*words: object) -> Sequence[str]:
    return [sys.executable, "-m", "candlewick", "backfill", "binance", *map(str, words)]


async def killed(settings: Settings, words: Sequence[str], environment: dict[str, str], records: int) -> None:
    """Run the command until the log holds so many records, or until it ends."""
    process = await asyncio.create_subprocess_exec(*words, env=environment, stderr=subprocess.DEVNULL)

    async def is_on() -> bool:
        return process.returncode is not None or await end_of_trades(settings) >= records

    await eventually(is_on, timeout_s=90, every_s=0.02)
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_two_hours_of_two_symbols_are_whole_in_spite_of_faults_and_kills(
    exchange: Exchange, environment: dict[str, str]
) -> None:
    async with exchange(speed=1.0, **FAULTS) as settings:
        environment |= {"CANDLEWICK_BINANCE_REST": settings.binance_rest}
        words = command(*SYMBOLS, "--from", FROM // 1000, "--to", UNTIL // 1000)
        for kill_from in (1, 30_000):  # as soon as the log holds so many records
            await killed(settings, words, environment, kill_from)
        done = await asyncio.create_subprocess_exec(
            *words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        told, errors = await asyncio.wait_for(done.communicate(), 120)
        assert done.returncode == 0, errors.decode()
        assert b"Traceback" not in errors
        assert told.count(b"proved complete") + told.count(b"nothing to ask for") == 2, told.decode()

        logs = await read_log(settings)
        for symbol in ("SOL-USDT", "LTC-USDT"):
            truth = await sent(settings.binance_rest, symbol.replace("-", ""), FROM, UNTIL)
            assert len(truth) > 5_000
            assert published(logs[symbol].trades, FROM, UNTIL) == truth, symbol
            progress = await read_progress(settings, MarketKey("binance", symbol))
            assert {record.run for record in progress.runs} == progress.finished, "what was interrupted was ended"
        await one_pass(settings)
        for symbol in ("SOL-USDT", "LTC-USDT"):
            assert await statuses(settings, symbol, FROM, UNTIL) == {"complete": 120}

        end = await end_of_trades(settings)
        request = BackfillRequest(exchange="binance", symbols=SYMBOLS, from_us=FROM, until_us=UNTIL)
        again = await backfilled(settings, request)
        assert [(result.wanted, result.requests) for result in again.values()] == [(0, 0), (0, 0)]
        assert await end_of_trades(settings) == end


async def test_a_signal_ends_it_and_it_goes_on(exchange: Exchange) -> None:
    async with exchange(speed=1.0) as settings:
        stop = asyncio.Event()
        request = replace(QUIET, symbols=["LTC-USDT"])
        asyncio.get_running_loop().call_later(0.5, stop.set)
        with pytest.raises(InterruptedBackfillError, match="run the same command again"):
            await backfilled(settings, request, stop)
        assert InterruptedBackfillError.exit_code == 130
        assert (await backfilled(settings, request))["LTC-USDT"].minutes == {Proof.IDS: 120}


async def test_it_stays_fifteen_minutes_behind_live_and_within_what_the_exchange_has_shown(exchange: Exchange) -> None:
    async with exchange(speed=1.0) as settings:
        request = replace(QUIET, symbols=["SOL-USDT"], from_us=START - 30 * MINUTE, until_us=None)
        far = (await backfilled(settings, request))["SOL-USDT"]
        assert START - 2 * MINUTE <= far.span.until_us <= START + 5 * MINUTE, "and not until our own clock's time"
        assert set(far.minutes) == {Proof.IDS}
        async with Publisher(settings) as publisher:
            key, live = "binance:LTC-USDT", START - 5 * MINUTE
            record = Outgoing(progress_key(key, None), encode_progress(Progress(key=key, complete_until_us=live)))
            await publisher.await_acknowledgements([await publisher.send(settings.topics.progress, record)])
        near = (await backfilled(settings, replace(request, symbols=["LTC-USDT"])))["LTC-USDT"]
        assert near.span == DumpPeriod(START - 30 * MINUTE, START - 20 * MINUTE)
        assert near.minutes == {Proof.IDS: 10}


async def test_klines_stand_in_until_trades_are_there(exchange: Exchange) -> None:
    async with exchange(speed=1.0) as settings:
        klines = replace(QUIET, klines=True)
        asked = (await backfilled(settings, klines))["XRP-ETH"]
        assert (asked.minutes, asked.requests) == ({Proof.KLINE: 120}, 2), "the newest trade, and all klines at once"
        await one_pass(settings)
        assert await statuses(settings, "XRP-ETH", FROM, UNTIL) == {"kline": 120}
        assert (await backfilled(settings, klines))["XRP-ETH"].wanted == 0
        given = await amounts(settings)
        better = (await backfilled(settings, QUIET))["XRP-ETH"]
        assert (better.wanted, set(better.minutes), better.out_of_reach) == (120, {Proof.IDS}, 0)
        await one_pass(settings)
        assert await statuses(settings, "XRP-ETH", FROM, UNTIL) == {"complete": 120}
        assert (await backfilled(settings, klines))["XRP-ETH"].wanted == 0, "trades are better"
        assert await amounts(settings) == given, "the exchange's klines and our candles agree"


async def test_what_cannot_be_is_told(exchange: Exchange) -> None:
    async with exchange(speed=1.0) as settings:
        for request, says in (
            (replace(QUIET, symbols=[]), "no symbols"),
            (replace(QUIET, exchange="nowhere"), "there is no exchange 'nowhere'"),
            (replace(QUIET, from_us=UNTIL), "there is no whole minute from"),
            (replace(QUIET, symbols=["NOPE-USDT"]), "does not have all of NOPE-USDT"),
        ):
            with pytest.raises(UsageError, match=says):
                await backfilled(settings, request)
