"""A recomputation that is interrupted, or killed, again and again goes on exactly where it was."""

import asyncio

import pytest
from candle_engine import fill, one_pass, read_all
from eventually import eventually
from market_log import MINUTE, START, make_log
from ranges import candles, recomputed

from candlewick.verify.recomputed import compare_recomputation
from market.topics import Topics
from processors.candles import worker
from runtime.errors import UsageError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


async def test_an_interrupted_recomputation_goes_on_where_it_was(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = make_log(32, minutes=60)
    await fill(settings, log)
    await one_pass(settings)
    monkeypatch.setattr(worker, "POLL_BATCHES", 1)
    until_us, beside = START + 55 * MINUTE, topics.beside("fix")
    stop = asyncio.Event()
    first = asyncio.create_task(recomputed(settings, START, until_us, stop=stop))
    await eventually(lambda: _begun(settings, beside), every_s=0.01)
    stop.set()
    assert not (await first).is_final
    with pytest.raises(UsageError, match="not whole yet"):
        await compare_recomputation(settings, "fix")
    assert (await recomputed(settings, START, until_us)).is_final
    assert await candles(settings, beside.candles()) == await candles(settings, topics.candles(), START, until_us)
    assert (await compare_recomputation(settings, "fix")).right


async def _begun(settings: Settings, beside: Topics) -> bool:
    return bool(await group_offsets(settings, beside.group("candles"))) and bool(
        await read_all(settings, beside.candles())
    )
