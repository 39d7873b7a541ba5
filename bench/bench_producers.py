"""The producer: Binance frames to acknowledged trades, beside what one would use instead; latency and memory.

``bench_producers.py [--trades 400000] [--runs 3] [--seconds 20]``; into ``results/producers.json``.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker import broker, forget_topics
from measure import EngineFailed, Run, run_engine
from peers import ENGINES, ROOT, NotSetUpError, environment
from report import write

from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, load_settings

SYMBOLS = 200
"""What one connection carries."""
MANY_SYMBOLS = 3_000
RATE = 10_000
MINUTE_MS = 60_000
BEFORE_MS = 10_000
"""The market time of the first frame lies so long before the end of a minute."""
FRAMES, SOCKET, SEND = "frames -> acknowledged", "socket -> acknowledged", "aiokafka send() a trade -> acknowledged"
PARSERS = {"ccxt": "ccxt_frames.py", "cryptofeed": "cryptofeed_frames.py"}
GOALS = {
    FRAMES: 250_000,
    SOCKET: 100_000,
    f"{SOCKET} at {RATE:,} trades/s, {SYMBOLS:,} symbols: p99": 40,
    f"peak memory at {RATE:,} trades/s, {MANY_SYMBOLS:,} symbols": 300,
}


def main() -> None:
    """Each way in turn, then the latency; all figures with their least, median and greatest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=400_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="how long latency is looked at, in each run")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    others_load = round(os.getloadavg()[1], 1)
    pythons = set_up()
    seen: dict[tuple[str, str], list[float]] = {}
    with broker() as settings:
        for number in range(1, arguments.runs + 1):
            for what, value, unit in one_round(settings, arguments.trades, arguments.seconds, pythons):
                seen.setdefault((what, unit), []).append(value)
                print(f"{number} {what:55} {value:>12,.1f} {unit}", flush=True)
    figures = [figure(name, unit, values) for (name, unit), values in seen.items()]
    print()
    for row in figures:
        goal = "" if row["goal"] is None else f"goal {row['goal']:,}"
        print(f"{row['name']:55} {row['median']:>10,} {row['unit']:16} ({row['min']:,} to {row['max']:,}) {goal}")
    setting = {"symbols": SYMBOLS, "trades": arguments.trades, "runs": arguments.runs, "others_load": others_load}
    write("producers", {**setting, "figures": figures})


def set_up() -> dict[str, Path]:
    """The Python of each peer that can be had here."""
    cache = load_settings().cache.expanduser() / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    pythons = {}
    for name in PARSERS:
        try:
            pythons[name] = environment(cache, f"{name}.txt")
        except NotSetUpError as error:
            print(f"{name}: left out, {error}", flush=True)
    return pythons


def one_round(
    settings: Settings, trades: int, seconds: int, pythons: dict[str, Path]
) -> Iterator[tuple[str, float, str]]:
    """Each way once, as name, value and unit."""
    now_ms = time.time_ns() // 1_000_000
    numbers = [str(trades), str(SYMBOLS), str((now_ms // MINUTE_MS - 1) * MINUTE_MS - BEFORE_MS)]
    yield FRAMES, produced(settings, ["frames", *numbers], trades).work.per_cpu_s, "trades/CPU-s"
    with stream(*numbers) as url:
        run = produced(settings, ["socket", *numbers], trades, url)
        yield SOCKET, run.work.per_cpu_s, "trades/CPU-s"
    yield SEND, plain(settings, numbers, trades).work.per_cpu_s, "trades/CPU-s"
    for name, python in pythons.items():
        with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
            command = [str(python), str(ENGINES / PARSERS[name]), *numbers]
            run = run_engine(command, trades=trades, folder=Path(folder), environment={})
        yield f"{name}: parsing alone, no Kafka", run.work.per_cpu_s, "trades/CPU-s"
    for symbols in (SYMBOLS, MANY_SYMBOLS):
        yield from paced(settings, seconds, symbols)


def paced(settings: Settings, seconds: int, symbols: int) -> Iterator[tuple[str, float, str]]:
    """A steady rate over so many symbols, in real time."""
    said: dict[str, float] = {}
    with stream("--pace", str(RATE), str(symbols)) as url:
        run = produced(
            settings,
            ["paced", str(seconds), str(symbols)],
            None,
            url,
            lambda folder: said.update(json.loads((folder / "latency.json").read_bytes())),
        )
    about = f"at {RATE:,} trades/s, {symbols:,} symbols"
    yield f"{SOCKET} {about}: p50", said["p50_ms"], "ms"
    yield f"{SOCKET} {about}: p99", said["p99_ms"], "ms"
    yield f"peak memory {about}", run.peak_mb, "MB"
    yield f"CPU {about}", 100 * run.work.cpu_s / run.work.wall_s, "% of a core"


def produced(
    settings: Settings,
    arguments: Sequence[str],
    trades: int | None,
    url: str = "ws://127.0.0.1:1",
    look: Callable[[Path], Any] = lambda _: None,
) -> Run:
    """Candlewick's producer, into topics of its own; all trades have to be in the log."""
    own = {"prefix": f"run{time.time_ns()}.", "binance_ws": url, "binance_rest": "http://127.0.0.1:1"}
    settings = settings.model_copy(update=own)
    return _in_topics(settings, "producer.py", arguments, trades, look)


def plain(settings: Settings, numbers: Sequence[str], trades: int) -> Run:
    """The plain way."""
    settings = settings.model_copy(update={"prefix": f"run{time.time_ns()}."})
    return _in_topics(settings, "plain_send.py", numbers, trades, lambda _: None)


def _in_topics(
    settings: Settings, script: str, arguments: Sequence[str], trades: int | None, look: Callable[[Path], Any]
) -> Run:
    asyncio.run(apply_topics(settings))
    variables = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    try:
        with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
            command = [sys.executable, str(ENGINES / script), *arguments]
            run = run_engine(command, trades=trades, folder=Path(folder), environment=variables)
            look(Path(folder))
        return run
    finally:
        forget_topics(settings, settings.prefix)


@contextmanager
def stream(*arguments: str) -> Iterator[str]:
    """An exchange's stream, as a process of its own; gives its host."""
    command = [sys.executable, str(ENGINES / "stream.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise EngineFailed("the stream did not start")
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.kill()


def figure(name: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
    """One row of the results."""
    places = None if unit == "trades/CPU-s" else 1
    cuts = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {
        "name": name,
        "unit": unit,
        **{key: round(value, places) for key, value in cuts.items()},
        "goal": GOALS.get(name),
    }


if __name__ == "__main__":
    main()
