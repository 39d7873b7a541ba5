"""A store that is away for a minute while trades keep coming: its sink waits and loses nothing, the others go on."""

import asyncio
import datetime as dt
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
from eventually import eventually
from holdings import TARGETS
from log import candle, record, trade
from logged import read_log
from members import Member
from own_servers import OWN_SERVERS, OwnServer, new_bucket, s3_variables
from pydantic import SecretStr

from runtime.kafka import Publisher
from runtime.settings import Settings, child_environment

OUTAGE_S = float(os.environ.get("OUTAGE_S", "60"))
RATE = int(os.environ.get("RATE", "2000"))
TICK_S = 0.1
SYMBOLS = 20
SINKS = ("redis", "clickhouse", "parquet", "postgres")
FROZEN = {"redis", "parquet"}
"""These answer nothing while they are away; the others are killed, and started again on their data."""
FLAGS = {"parquet": ("--file-records", str(RATE))}
"""A file of each partition every few seconds: otherwise nothing would be written in an outage of a minute."""
GROWTH_MB = 250
"""So much more memory than before the outage a sink may take, while it waits and while it catches up."""
NEW_MS = 3_000
CATCH_UP_S = 120
LAG_S = 10
"""So far behind the other sinks may be at most, on a busy machine too."""


@dataclass
class Watch:
    """A sink's process, and its memory at times."""

    member: Member
    rss_mb: list[float] = field(default_factory=list)

    def look(self) -> None:
        self.rss_mb.append(psutil.Process(self.member.pid).memory_info().rss / 2**20)

    def unread(self, since: str = "") -> list[int]:
        """Of each progress line from a time on."""
        return [line["unread"] or 0 for line in self.member.lines("progress") if line["timestamp"] >= since]


@dataclass(kw_only=True)
class Outcome:
    """What an outage did."""

    sent: int
    """Trades in all."""
    is_told: bool
    drained_s: float
    behind: dict[str, int]
    """By sink: the most records that it had still to read while the store was away."""
    codes: dict[str, int | None]


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("away", SINKS)
async def test_a_store_that_is_away_delays_only_its_own_sink_and_nothing_is_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    async with servers(settings, tmp_path, away) as (own, running, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        environment = child_environment(own, progress_s="1")
        watches = {
            name: Watch(Member(environment, tmp_path / f"{name}.log", command=("sink", name, *FLAGS.get(name, ()))))
            for name in SINKS
        }
        try:
            outcome = await go_through(own, watches, running[away], away)
        finally:
            for watch in watches.values():
                await watch.member.end(signal.SIGKILL)
        memory, others = watches[away].rss_mb, {name: outcome.behind[name] for name in SINKS if name != away}
        print(  # noqa: T201  # seen with -s
            f"\n{away} away for {OUTAGE_S:.0f} s of {RATE:,} trades/s: caught up in {outcome.drained_s:.1f} s; "
            f"its memory {memory[0]:.0f} MB before, {max(memory):.0f} MB at most; the others behind by {others} "
            f"records at most; {outcome.sent:,} trades in all"
        )
        assert outcome.is_told
        assert outcome.codes == dict.fromkeys(SINKS, 0)
        await assert_all_hold_the_log(own, outcome.sent)
        assert max(memory) - memory[0] < GROWTH_MB
        assert max(others.values()) < LAG_S * RATE


async def go_through(own: Settings, watches: dict[str, Watch], server: OwnServer, away: str) -> Outcome:
    """From four sinks that keep up, through the outage, until all have read all and have ended."""
    ended = asyncio.Event()
    producing = asyncio.create_task(produce(own, ended))
    try:
        for watch in watches.values():
            await watch.member.start()
        await eventually(lambda: all(map(keeps_up, watches.values())), timeout_s=CATCH_UP_S, every_s=0.5)
        looking = asyncio.create_task(look(watches[away], ended))
        began = utc_now()
        leave(server, away)
        await asyncio.sleep(OUTAGE_S)  # the fault itself
        behind = {name: max(watch.unread(began), default=0) for name, watch in watches.items()}
        is_told = bool(watches[away].member.lines("the store is away"))
        back, back_s = utc_now(), time.monotonic()
        await come_back(server, away)
        await eventually(lambda: keeps_up(watches[away], back), timeout_s=CATCH_UP_S, every_s=0.5)
        drained_s = time.monotonic() - back_s
        ended.set()
        sent = await producing
        await looking
        await eventually(lambda: all(map(has_read_all, watches.values())), timeout_s=CATCH_UP_S, every_s=0.5)
        codes = {name: await watch.member.end(signal.SIGTERM) for name, watch in watches.items()}
    finally:
        ended.set()
        await asyncio.wait([producing])
    return Outcome(sent=sent, is_told=is_told, drained_s=drained_s, behind=behind, codes=codes)


async def assert_all_hold_the_log(own: Settings, sent: int) -> None:
    logged = await read_log(own)
    assert len(logged.live) == sent
    for name in SINKS:
        held, wanted = await TARGETS[name].held(own), logged.hot() if name == "redis" else logged.whole()
        assert differences(held.trades, wanted.trades) == [], name
        assert differences(held.candles, wanted.candles) == [], name
        assert held.places is None or held.places == wanted.places


def differences(held: dict[tuple[Any, ...], Any], wanted: dict[tuple[Any, ...], Any]) -> list[tuple[Any, ...]]:
    """(key, what is held, what should be), of at most ten keys; None is nothing."""
    unequal = ((key, held.get(key), wanted.get(key)) for key in sorted(held.keys() | wanted.keys()))
    return list(islice((each for each in unequal if each[1] != each[2]), 10))


@asynccontextmanager
async def servers(
    settings: Settings, folder: Path, away: str
) -> AsyncIterator[tuple[Settings, dict[str, OwnServer], dict[str, str]]]:
    """The settings, the stores' servers, and an S3 client's variables; the cold store is files, unless it goes away."""
    names = [name for name in SINKS if name != "parquet" or name == away]
    running = {name: await asyncio.to_thread(OWN_SERVERS[name], folder) for name in names}
    own = {name: SecretStr(running[name].url) for name in ("redis", "clickhouse", "postgres")}
    more: dict[str, Any] = {}
    variables: dict[str, str] = {}
    try:
        for server in running.values():
            await server.start()
        if away == "parquet":
            variables = s3_variables(running[away].url)
            more = {"cold": f"s3://{await asyncio.to_thread(new_bucket, running[away].url)}/cold"}
        yield settings.model_copy(update=own | more), running, variables
    finally:
        for server in running.values():
            server.kill()


def leave(server: OwnServer, name: str) -> None:
    if name in FROZEN:
        server.freeze()
    else:
        server.kill()


async def come_back(server: OwnServer, name: str) -> None:
    if name in FROZEN:
        server.thaw()
    else:
        await server.start()


def keeps_up(watch: Watch, since: str = "") -> bool:
    """Whether what it read last, at that time or later, was new."""
    lines = [line for line in watch.member.lines("progress") if line["timestamp"] >= since and line["records"]]
    return bool(lines) and lines[-1]["newest_age_ms"] < NEW_MS and (lines[-1]["unread"] or 0) < RATE


def has_read_all(watch: Watch) -> bool:
    return watch.unread()[-1:] == [0]


def utc_now() -> str:
    """As the logs tell it."""
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")


async def produce(settings: Settings, ended: asyncio.Event) -> int:
    """Trades at an even pace, and a candle a second; returns how many trades."""
    sent, began_s = 0, time.monotonic()
    async with Publisher(settings) as publisher:
        while not ended.is_set():
            due = int((time.monotonic() - began_s) * RATE)
            trades = [record(trade(number, symbol=f"S{number % SYMBOLS}-USD")) for number in range(sent, due)]
            minutes = [record(candle(due // RATE, due, symbol=f"S{due % SYMBOLS}-USD"))] if due else []
            futures = await publisher.send_batches(settings.topics.trades, trades, settings.partitions)
            futures += await publisher.send_batches(settings.topics.candles(), minutes, settings.partitions)
            await publisher.await_acknowledgements(futures)
            sent = due
            await asyncio.sleep(TICK_S)
    return sent


async def look(watch: Watch, ended: asyncio.Event) -> None:
    """At its memory, until the sink has caught up."""
    while not ended.is_set():
        watch.look()
        await asyncio.sleep(TICK_S)
