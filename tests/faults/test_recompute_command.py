"""``candlewick candles --from --until --into`` and ``candlewick verify --replay`` as programs."""

import asyncio
import subprocess
import sys

import orjson
from candle_engine import one_pass, read_all
from market_log import MINUTE, make_log
from past_log import fill_past, minutes_ago, tell_progress
from ranges import candles, publish

from market.topics import Topics
from market.utc import utc
from runtime.settings import Settings

Environment = dict[str, str]


def candlewick(environment: Environment, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "candlewick", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


async def test_a_range_is_recomputed_and_held_against_the_live_candles(
    environment: Environment, settings: Settings, topics: Topics
) -> None:
    start_us = minutes_ago(200)
    log, _ = make_log(41, minutes=120, start_us=start_us)
    await fill_past(settings, log)
    await tell_progress(settings, log)
    await one_pass(settings)
    from_us, until_us = start_us + 60 * MINUTE, start_us + 80 * MINUTE
    live = await candles(settings, topics.candles(), from_us, until_us)

    words = ["candles", "--from", utc(from_us), "--until", utc(until_us), "--into", "fix"]
    done = await asyncio.to_thread(candlewick, environment, *words)
    assert done.returncode == 0, done.stderr
    assert f": {len(live)} candles of 3 markets out of " in done.stdout
    assert await candles(settings, topics.beside("fix").candles()) == live
    same = await asyncio.to_thread(candlewick, environment, "verify", "--replay", "fix")
    assert (same.returncode, same.stderr) == (0, "")
    assert f"{len(live)} candles the same, 0 only live, 0 only recomputed, 0 different" in same.stdout

    first = next(one for one in await read_all(settings, topics.candles()) if one.value == live[0][3])
    value = (first.value or b"").replace(b'"status":"complete"', b'"status":"kline"')
    assert value != first.value
    await publish(settings, topics.candles(), first.partition, first.key, value)
    differs = await asyncio.to_thread(candlewick, environment, "verify", "--replay", "fix")
    assert differs.returncode == 3
    minute = utc(orjson.loads(value)["open_time_ms"] * 1000)
    assert f"different: {(first.key or b'').decode()} {minute} revision" in differs.stdout
