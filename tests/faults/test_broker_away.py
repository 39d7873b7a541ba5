"""A broker that is frozen for a while, as a machine that swaps or a network that is cut: an outage, no stuck reader."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from candle_engine import candles_in, expected_candles, fill, one_pass
from eventually import eventually
from market_log import Log, make_log
from members import PATIENCE_S, Member

from deploy.local import stack as local_stack
from market.topics import Topics
from runtime.kafka import Outgoing, TransactionalPublisher
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

STALL_TIMEOUT_S = 3.0
FROZEN_S = 8.0
"""Longer than a broker takes that is there, and than the limit."""


async def test_a_broker_that_is_away_is_no_stuck_reader(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    log, _ = make_log(41)
    path = tmp_path / "member"
    member = Member(environment | {"CANDLEWICK_STALL_TIMEOUT_S": str(STALL_TIMEOUT_S)}, path)
    cut = Outgoing(b"x:Y", None)
    try:
        await member.start()
        await eventually(member.assignments, timeout_s=PATIENCE_S)
        async with TransactionalPublisher(settings, f"{settings.prefix}elsewhere") as another:
            with suppress(GivenUpError):
                async with another.transaction() as transaction:
                    cuts = [cut._replace(partition=partition) for partition in range(settings.partitions)]
                    await transaction.send(topics.trades, cuts)
                    await transaction.settle()
                    await fill(settings, log)  # hidden: the reader stands still over them
                    await eventually(lambda: lag_in(path) > 0, timeout_s=PATIENCE_S)
                    with frozen_broker(settings):
                        await eventually(lambda: not member.is_running or seconds_in(path) >= FROZEN_S, timeout_s=60)
                    raise GivenUpError
        async with TransactionalPublisher(settings, f"{settings.prefix}elsewhere"):
            pass  # taking it over ends the transaction

        async def is_read() -> bool:
            assert member.is_running, path.read_text()[-2000:]
            return sum((await group_offsets(settings, topics.group("candles"))).values()) >= len(log.records)

        await eventually(is_read, timeout_s=PATIENCE_S)
        assert await member.end(signal.SIGTERM) == 0
    finally:
        await member.end(signal.SIGKILL)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))
