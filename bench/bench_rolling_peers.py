"""The 24 h ticker of each minute: by Candlewick, and by what one would write instead, over the same candles.

``bench_rolling_peers.py [--symbols 100] [--minutes 1500] [--runs 3] [--engines candlewick,kafka-streams-memory]``
"""

import argparse
import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import peers
from bench_rolling import Walk, fill, once
from broker import broker, forget_group, forget_outputs, forget_topics, make_topic
from check_tickers import TickerSums, WrongTickersError, check_tickers, computed, demand, figures_of
from measure import EngineFailed, run_engine
from report import figure, write
from timescale import TimescaleServer, timescale

from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, kafka_address, postgres_address
from sinks.postgres.store import PostgresStore

OURS, TIMESCALE = "candlewick", "timescaledb"
PATIENCE_S = 900.0
PEERS = (
    peers.Engine(
        name="kafka-streams-memory",
        settings=f"{peers.KAFKA_STREAMS}, hopping windows, at least once, store in memory without changelog",
        prepare=peers.jvm("StreamsTickers", peers.STREAMS, ["-Dstore=memory"]),
        warm=True,
    ),
    peers.Engine(
        name="kafka-streams-rocksdb",
        settings=f"{peers.KAFKA_STREAMS}, hopping windows, at least once, RocksDB with changelog, 64 MB cache",
        prepare=peers.jvm("StreamsTickers", peers.STREAMS, ["-Dstore=rocksdb"]),
        warm=True,
    ),
    peers.Engine(
        name="faust-table",
        settings="faust-streaming, a windowed table with changelog, hopping, store in memory",
        prepare=peers.own("faust_tickers.py"),
        part=True,
    ),
)
AGGREGATES = ("candles_5m", "candles_1h", "candles_1d")
_TICKERS = """
SELECT exchange || ':' || symbol AS key, sum(minutes)::bigint AS minutes, first(open, open_time) AS open,
    max(high) AS high, min(low) AS low, last(close, open_time) AS close, sum(volume) AS volume,
    sum(quote_volume) AS quote_volume, sum(taker_buy_volume) AS taker_buy_volume, sum(trades)::bigint AS trades
FROM candles_5m
WHERE open_time >= timestamptz 'epoch' + $1 * interval '1 millisecond'
    AND open_time < timestamptz 'epoch' + $2 * interval '1 millisecond'
GROUP BY 1
"""


class Load(NamedTuple):
    """A 1m topic: the first markets, and the first minutes of them, of what all loads have."""

    settings: Settings
    symbols: int
    minutes: int
    right: TickerSums

    @property
    def candles(self) -> int:
        """In the topic."""
        return self.symbols * self.minutes

    @property
    def end_ms(self) -> int:
        """Of the last minute."""
        return max(end_ms for _, end_ms in self.right)


class Seen(NamedTuple):
    """One run."""

    per_cpu_s: float
    """Candles per CPU-second."""
    peak_mb: float | None = None
    asked_per_cpu_s: float | None = None
    """Tickers per CPU-second, where they are made when somebody asks."""


class Peer(NamedTuple):
    """A way to the ticker, over a load."""

    name: str
    settings: str
    load: Load
    measure: Callable[[Load], Seen]


def main() -> None:
    """Fill the topics, let each in turn go over its own, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=100, help="of Candlewick and TimescaleDB")
    parser.add_argument("--minutes", type=int, default=1_500, help="a multiple of 5, and more than a day")
    parser.add_argument("--stream-symbols", type=int, default=4, help="of Kafka Streams")
    parser.add_argument("--faust-minutes", type=int, default=120, help="of the windowed table, with one symbol")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", default=",".join([OURS, *(peer.name for peer in PEERS), TIMESCALE]))
    asked = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    wanted = asked.engines.split(",")
    commands = peers.set_up([peer for peer in PEERS if peer.name in wanted])
    with broker() as settings:
        first_ms = (time.time_ns() // 1_000_000 - asked.minutes * MINUTE_MS) // HOUR_MS * HOUR_MS
        whole = filled(settings, "whole.", asked.symbols, asked.minutes, first_ms)
        few = filled(settings, "few.", asked.stream_symbols, asked.minutes, first_ms)
        fewest = filled(settings, "fewest.", 1, asked.faust_minutes, first_ms)
        asyncio.run(apply_topics(settings))  # without candles: what a start costs
        ways = [
            Peer(OURS, "all longer candles and three windows, at least once", whole, measure_ours(settings)),
            *(
                Peer(peer.name, peer.settings, fewest if peer.part else few, measure_peer(peer, commands[peer.name]))
                for peer in PEERS
                if peer.name in commands
            ),
            Peer(
                TIMESCALE, "2.23 as WebAssembly: candles_5m, _1h and _1d, each refreshed once", whole, measure_timescale
            ),
        ]
        runs, failures = interleave([way for way in ways if way.name in wanted], asked.runs)
    report(ways, runs, failures)
    sys.exit(1 if failures else 0)


def filled(settings: Settings, prefix: str, symbols: int, minutes: int, first_ms: int) -> Load:
    """Topics under `prefix`, with candles of the first so many markets."""
    own = settings.model_copy(update={"prefix": prefix})
    asyncio.run(apply_topics(own))
    asyncio.run(fill(own, [Walk(number) for number in range(symbols)], Timeframe.M1, first_ms, minutes))
    return Load(own, symbols, minutes, asyncio.run(computed(own)))


def interleave(ways: list[Peer], runs: int) -> tuple[dict[str, list[Seen]], list[str]]:
    """Each way in turn, so that whatever else the machine does falls on all of them; what failed beside it."""
    seen: dict[str, list[Seen]] = defaultdict(list)
    failures: list[str] = []
    for number in range(1, runs + 1):
        for way in ways:
            try:
                run = way.measure(way.load)
            except peers.NotSetUpError:
                continue
            except (EngineFailed, WrongTickersError) as failure:
                failures.append(f"{way.name}, run {number}: {failure}")
                print(f"{number} {way.name:22} failed: {failure}", flush=True)
                continue
            seen[way.name].append(run)
            print(f"{number} {way.name:22} {run.per_cpu_s:>10,.1f} candles/CPU-s {run}", flush=True)
    return seen, failures


def measure_ours(idle: Settings) -> Callable[[Load], Seen]:
    """``candlewick rolling --once``; what it takes over the empty topics of `idle` is not counted."""

    def measure(load: Load) -> Seen:
        topics = load.settings.topics
        longer = [topics.candles(timeframe) for timeframe in Timeframe if timeframe is not Timeframe.M1]
        with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
            idle_s, _ = once(idle, Path(folder))
            cpu_s, peak_mb = once(load.settings, Path(folder))
        asyncio.run(check_tickers(load.settings, topics.tickers, load.right, last_is_open=False))
        forget_outputs(load.settings, [*longer, topics.tickers], "rolling")
        return Seen(load.candles / (cpu_s - idle_s), peak_mb)

    return measure


def measure_peer(engine: peers.Engine, command: list[str]) -> Callable[[Load], Seen]:
    """An engine over the 1m topic, in a folder and with an output topic of its own."""

    def measure(load: Load) -> Seen:
        settings, output = load.settings, f"peer-{engine.name}-{time.time_ns()}"
        make_topic(settings, output)
        arguments = [kafka_address(settings), settings.topics.candles(), output, str(load.candles)]
        try:
            with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
                run = run_engine(
                    [*command, *arguments], trades=load.candles, folder=Path(folder), environment=dict(os.environ)
                )
            asyncio.run(check_tickers(settings, output, load.right, last_is_open=True))
        finally:
            forget_topics(settings, output)
        return Seen((run.warm if engine.warm else run.work).per_cpu_s, run.peak_mb)

    return measure


def measure_timescale(load: Load) -> Seen:
    """``candlewick sink postgres --once`` into an empty server, each aggregate refreshed, the last tickers asked for.

    The server's CPU alone. Raises `NotSetUpError` where there is none.
    """
    with timescale(load.settings) as server:
        if server is None:
            raise peers.NotSetUpError(TIMESCALE)
        asyncio.run(_make_tables(server.settings))
        began_s = server.cpu_s()
        _sink(server.settings)
        return asyncio.run(_aggregated(server, load, began_s))


async def _make_tables(settings: Settings) -> None:
    store = PostgresStore(settings)
    await store.open()
    await store.close()


def _sink(settings: Settings) -> None:
    environment = child_environment(settings) | {"PYTHONPATH": str(peers.ROOT)}
    command = [sys.executable, "-m", "candlewick", "sink", "postgres", "--once"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    forget_group(settings, "sink.postgres")
    if done.returncode:
        raise EngineFailed(f"the sink ended with {done.returncode}: {done.stderr[-300:]}")


async def _aggregated(server: TimescaleServer, load: Load, began_s: float) -> Seen:
    connection = await asyncpg.connect(postgres_address(server.settings))
    try:
        for name in AGGREGATES:
            await connection.execute(f"CALL refresh_continuous_aggregate('{name}', NULL, NULL)")
        filled_s = server.cpu_s() - began_s
        rows = await connection.fetch(_TICKERS, load.end_ms - DAY_MS, load.end_ms)
        asked_s = server.cpu_s() - began_s - filled_s
        days = await connection.fetchval("SELECT sum(minutes) FROM candles_1d")
    finally:
        await connection.close()
    demand(days == load.candles, f"the days have {days} minutes of {load.candles}")
    demand(len(rows) == load.symbols, f"{len(rows)} tickers of {load.symbols}")
    for row in rows:
        told, right = figures_of(row), load.right[row["key"], load.end_ms]
        demand(told == right, f"{row['key']}: {told} should be {right}")
    return Seen(load.candles / filled_s, asked_per_cpu_s=load.symbols / asked_s)


def report(ways: list[Peer], runs: dict[str, list[Seen]], failures: list[str]) -> None:
    """Print the table with Candlewick's ratio to each other way, and write it down with what failed."""
    medians = {name: statistics.median(run.per_cpu_s for run in of_name) for name, of_name in runs.items()}
    rows: list[dict[str, Any]] = []
    figures = []
    print(f"\n{'':22} {'candles/CPU-s':>14} {'ratio':>8} {'symbols':>8} {'minutes':>8}")
    for way in ways:
        if not (of_way := runs.get(way.name)):
            continue
        ratio = round(medians[OURS] / medians[way.name], 1) if OURS in medians else None
        load, peaks = way.load, [run.peak_mb for run in of_way if run.peak_mb is not None]
        rows.append(
            {
                "engine": way.name,
                "settings": way.settings,
                "runs": len(of_way),
                "symbols": load.symbols,
                "minutes": load.minutes,
                "candlewick_ratio": ratio,
                "peak_rss_mb": round(statistics.median(peaks)) if peaks else None,
            }
        )
        print(f"{way.name:22} {medians[way.name]:>14,.1f} {ratio or '':>8} {load.symbols:>8} {load.minutes:>8}")
        figures.append(figure(f"{way.name}: 24 h ticker", "candles/CPU-s", [run.per_cpu_s for run in of_way]))
        asked = [run.asked_per_cpu_s for run in of_way if run.asked_per_cpu_s is not None]
        if asked:
            figures.append(figure(f"{way.name}: 24 h tickers asked for", "tickers/CPU-s", asked))
    write("rolling_peers", {"figures": figures, "engines": rows, "failures": failures})


if __name__ == "__main__":
    main()
