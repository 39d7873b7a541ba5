"""Candles of a feed and an engine against the exchange's klines, and the feed's gaps, by the commands themselves."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from candle_engine import one_pass
from eventually import eventually
from feed_log import MINUTE_US, read_events, read_log
from feeding import START_US, SYMBOLS, Exchange, feeding, marked_until_us
from msgspec import structs

from candlewick import cli
from market.candle import Candle
from market.codec import decode_candle, encode_candle
from market.utc import utc
from runtime.kafka import Outgoing, Publisher, read_to_end
from runtime.settings import Settings

SYMBOL = "SOL-USDT"
AFTER_US = START_US + 15 * MINUTE_US


def moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()


SPAN = ("--from", moment(START_US - 10 * MINUTE_US), "--to", moment(START_US))


async def run(environment: dict[str, str], settings: Settings, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that talks to this exchange."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "candlewick", *words,
        env=environment | {"CANDLEWICK_BINANCE_REST": settings.binance_rest},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode or 0, output.decode(), errors.decode()


async def newest(settings: Settings) -> dict[tuple[str, int], Candle]:
    """The newest candle of every minute, by symbol and open time."""
    candles: dict[tuple[str, int], Candle] = {}
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            candle = decode_candle(record.value or b"")
            known = candles.setdefault((candle.symbol, candle.open_time_ms), candle)
            if candle.revision > known.revision:
                candles[candle.symbol, candle.open_time_ms] = candle
    return candles


async def publish(settings: Settings, candle: Candle, *, run: bytes | None = None) -> None:
    """Publish a candle as the engine would."""
    headers = [] if run is None else [("run", run)]
    async with Publisher(settings) as publisher:
        record = Outgoing(candle.key.encode(), encode_candle(candle), headers)
        await publisher.await_acknowledgements([await publisher.send(settings.topics.candles(), record)])


async def fed(settings: Settings, after_us: int = AFTER_US) -> tuple[int, int]:
    """Feed all symbols for some minutes and make candles; returns the span in which all of them have candles."""
    async with feeding(settings):

        async def far_enough() -> bool:
            return await marked_until_us(settings) >= after_us

        await eventually(far_enough, timeout_s=60, every_s=0.2)
    await one_pass(settings)
    logs = (await read_log(settings)).values()
    return max(log.begin_us for log in logs), min(log.end_us for log in logs)


async def test_candles_are_those_of_the_exchange_and_a_changed_digit_is_named(
    exchange: Exchange, environment: dict[str, str]
) -> None:
    async with exchange(drop_every_s=1.0) as settings:
        from_us, until_us = await fed(settings)
        span = ("--from", moment(from_us), "--to", moment(until_us))
        code, output, _ = await run(environment, settings, "verify", "binance", *SYMBOLS, *span)
        minutes = (until_us - from_us) // MINUTE_US
        assert code == 0, output
        assert f"{minutes * len(SYMBOLS)} minutes compared, 0 differ" in output

        candles = await newest(settings)
        busy = [candle for (symbol, _), candle in candles.items() if symbol == SYMBOL and candle.trades]
        right = next(candle for candle in busy if from_us <= candle.open_time_ms * 1000 < until_us)
        wrong = structs.replace(right, volume=right.volume + right.volume.scaleb(-3), revision=right.revision + 1)
        await publish(settings, wrong)
        code, output, _ = await run(environment, settings, "verify", "binance", *SYMBOLS, *span, "--json")
        told = json.loads(output)
        assert (code, told["differing"]) == (3, 1)
        (market,) = [market for market in told["markets"] if market["differs"]]
        (difference,) = market["differences"]
        assert (market["symbol"], difference["open_time_ms"]) == (SYMBOL, right.open_time_ms)
        assert list(difference["fields"]) == ["volume"]
        code, output, _ = await run(environment, settings, "verify", "binance", "solusdt", *span)
        assert code == 3
        assert "volume" in output
        assert "1 differ" in output

        # A run's later revision counts too.
        await publish(settings, structs.replace(right, revision=wrong.revision + 1), run=b"repair1")
        code, output, _ = await run(environment, settings, "verify", "binance", SYMBOL, *span)
        assert code == 0, output


async def test_a_minute_that_differs_is_fetched_again_as_a_run(exchange: Exchange, environment: dict[str, str]) -> None:
    async with exchange() as settings:
        from_us, until_us = await fed(settings, START_US + 40 * MINUTE_US)  # runs stay 15 minutes behind live data
        span = ("--from", moment(from_us), "--to", moment(until_us))
        candles = await newest(settings)
        right = next(
            candle
            for (symbol, open_ms), candle in sorted(candles.items())
            if symbol == SYMBOL and candle.trades and open_ms * 1000 >= from_us
        )
        await publish(settings, structs.replace(right, volume=right.volume * 2, revision=right.revision + 1))
        code, output, errors = await run(environment, settings, "verify", "binance", *SYMBOLS, *span, "--repair")
        assert code == 3, errors
        assert f"published again: {right.key}: {utc(right.open_time_ms * 1000)} until" in output
        await one_pass(settings)
        code, output, _ = await run(environment, settings, "verify", "binance", *SYMBOLS, *span, "--json", "--repair")
        assert code == 0, output
        assert json.loads(output)["repaired"] == []
        mended = (await newest(settings))[SYMBOL, right.open_time_ms]
        assert structs.replace(mended, revision=0) == structs.replace(right, revision=0)


async def test_gaps_are_counted_once_and_the_rate_is_of_what_is_published(
    exchange: Exchange, environment: dict[str, str]
) -> None:
    async with exchange(drop_every_s=1.0) as patient:
        settings = patient.model_copy(update={"fill_timeout_s": 2.0})
        async with feeding(settings):
            withheld = await withhold(settings, 3)

            async def is_lost() -> bool:
                return any(event["event"] == "hole" for event in await read_events(settings))

            await eventually(is_lost, timeout_s=60, every_s=0.5)
        await one_pass(settings)
        events = [event for event in await read_events(settings) if event["exchange"] == "binance"]
        code, output, errors = await run(environment, settings, "gaps", "binance", "--days", "3650", "--json")
        assert code == 0, errors
        told = json.loads(output)
        total, candles = told["total"], await newest(settings)
        assert total["published"] == sum(candle.trades for candle in candles.values())
        assert total["disconnects"] == sum(event["event"] == "disconnected" for event in events)
        assert 0 < total["gaps"] <= sum(event["event"] == "gap_opened" for event in events)
        assert total["gaps"] == total["gaps_filled"] + total["gaps_in_holes"] + total["gaps_open"]
        # A connection that breaks right there loses the page's other trades too: no page begins at a withheld id.
        holes = [event for event in events if event["event"] == "hole"]
        lost = sum(int(event["last_id"]) - int(event["first_id"]) + 1 for event in holes)
        assert total["lost"] == lost >= withheld
        assert total["gap_rate"] == lost / total["published"]
        assert sum(hole["lost"] for hole in told["holes"]) == lost
        assert {hole["symbol"] for hole in told["holes"] if hole["ids"]} == {SYMBOL}

        code, output, _ = await run(environment, settings, "gaps", "binance", "SOLUSDT", "--days", "3650")
        assert code == 0
        assert "total" in output
        assert "XRP-ETH" not in output


async def withhold(settings: Settings, count: int) -> int:
    """Have the exchange keep the next trades of the busiest symbol to itself; returns how many."""

    async def has_begun() -> bool:
        return await marked_until_us(settings) > START_US + MINUTE_US

    await eventually(has_begun, timeout_s=60, every_s=0.2)
    native = next(native for native, symbol in SYMBOLS.items() if symbol == SYMBOL)
    changes: dict[str, Any] = {"withhold": f"{native}:{count}"}
    url = f"{settings.binance_rest}/sim/faults"
    async with aiohttp.ClientSession() as http, http.post(url, json=changes) as response:
        assert response.status == 200
    return count


async def test_what_cannot_be_asked_is_told_in_a_sentence(exchange: Exchange, environment: dict[str, str]) -> None:
    missing = environment | {"CANDLEWICK_PREFIX": "nothing.here."}
    async with exchange() as settings:
        for surroundings, words, code, says in (
            (environment, ("verify", "binance", "NOPE-USDT", *SPAN), 2, "does not have all of NOPE-USDT"),
            (environment, ("verify", "binance", "SOL-USDT", *SPAN), 1, "has no candles of binance:SOL-USDT"),
            (environment, ("gaps", "binance"), 1, "hold nothing of binance in the last 7 days"),
            (missing, ("verify", "binance", "SOL-USDT", *SPAN), 1, "run candlewick topics apply"),
            (missing, ("gaps", "binance"), 1, "run candlewick topics apply"),
        ):
            done, _, errors = await run(surroundings, settings, *words)
            assert done == code, errors
            assert says in errors, words
            assert errors.count("\n") == 1, errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "nowhere", "BTC-USDT", *SPAN), "there is no exchange 'nowhere': choose binance"),
        (("verify", "binance", *SPAN), "no symbols"),
        (("verify", "binance", "BTC-USDT"), "say from when"),
        (("verify", *SPAN), "are for an exchange"),
        (("verify", "binance", "SOL-USDT", *SPAN, "--replay", "x"), "give one of the two"),
        (("gaps", "nowhere"), "there is no exchange 'nowhere': choose binance"),
        (("gaps", "binance", "--days", "0"), "--days is 0"),
    ],
)
def test_wrong_words_are_told_before_anything_is_asked(
    words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDLEWICK_KAFKA", "127.0.0.1:9")
    monkeypatch.setenv("CANDLEWICK_BINANCE_REST", "http://127.0.0.1:9")
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1, told
