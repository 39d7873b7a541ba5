"""Questions to 43 and 130 million one-minute candles: a month of a market by the hour, a quarter of three with windows.

``bench_queries.py [--symbols 1000] [--days 30,90] [--postgres-days 30] [--postgres-symbols 1000] [--runs 15]``; into
``results/queries.json``. ClickHouse holds them in our table and answers by our view; then PostgreSQL, in our table.
Each answer is held against numbers that are computed apart.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from broker import servers
from minute_tables import QUESTIONS, RelationalMinutes, WarmMinutes, question
from minutes import UNTIL, Days, hours, last, symbol
from report import figure, write

GOALS_MS = {("hours", 30): 42, ("windows", 90): 187}
WARMING = 3
"""So many times a question is asked before it is timed."""
MONTH = 30
Figures = list[dict[str, Any]]


class WrongAnswerError(Exception):
    """An engine says something else than the numbers."""


def main() -> None:
    """Fill, ask, fill on, ask again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--days", default="30,90")
    parser.add_argument("--postgres-symbols", type=int, default=1000)
    parser.add_argument("--postgres-days", default="30")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    others_load = round(os.getloadavg()[1], 2)
    figures: Figures = []
    with servers("clickhouse") as settings:
        figures += measured(WarmMinutes(settings), arguments.symbols, _numbers(arguments.days), arguments.runs)
    with servers("postgres") as settings:
        days = _numbers(arguments.postgres_days)
        figures += measured(RelationalMinutes(settings), arguments.postgres_symbols, days, arguments.runs)
    write("queries", {"others_load": others_load, "figures": figures})


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def measured(table: WarmMinutes | RelationalMinutes, symbols: int, sizes: Sequence[int], runs: int) -> Figures:
    """A table at each of its sizes, in days."""
    figures: Figures = []
    filled_from = UNTIL
    for days in sorted(sizes):
        began_s = time.perf_counter()
        table.fill(symbols, Days(last(days).first, filled_from))
        filled_from = last(days).first
        took_s = time.perf_counter() - began_s
        rows, size = table.size()
        what = f"{table.name}, {symbols * days * 1440 / 1e6:.1f} M candles"
        print(f"{what}: filled in {took_s:.0f} s", flush=True)
        figures += [figure(f"{what}: on disk", "bytes/candle", [size / rows])]
        for name in QUESTIONS:
            figures += list(asked(table, what, name, (days if name == "windows" else min(days, MONTH)), symbols, runs))
    return figures


def asked(
    table: WarmMinutes | RelationalMinutes, what: str, name: str, days: int, symbols: int, runs: int
) -> Iterator[dict[str, Any]]:
    """One question, warm, its answer checked."""
    markets = [symbols // 3, symbols // 2, symbols - 1] if name == "windows" else [symbols // 2]
    text = question(table.name, name, markets, last(days))
    seen_ms = []
    for number in range(WARMING + runs):
        began_s = time.perf_counter()
        answer = table.ask(text)
        if number >= WARMING:
            seen_ms.append(1000 * (time.perf_counter() - began_s))
    require_right(name, markets, last(days), answer.rows)
    label = f"{what}: {name}, {days} days of {len(markets)}"
    goal = GOALS_MS.get((name, days)) if table.name == "clickhouse" else None
    yield figure(label, "ms", seen_ms, goal)
    print(f"{label}: {statistics.median(seen_ms):.1f} ms ({min(seen_ms):.1f} to {max(seen_ms):.1f})", flush=True)
    if answer.read_rows is not None:
        yield figure(f"{label}: read", "rows", [answer.read_rows])
        yield figure(f"{label}: read", "bytes", [answer.read_bytes or 0])


def require_right(name: str, markets: Sequence[int], days: Days, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raises `WrongAnswerError`. Of an hour's columns the first seven are held against the numbers."""
    if name == "windows":
        wanted = [row for number in markets for row in windows(number, days)]
    else:
        wanted = [tuple(hour) for hour in hours(markets[0], days)]
        rows = [row[: len(wanted[0])] for row in rows]
    if len(rows) != len(wanted):
        raise WrongAnswerError(f"{name}: {len(rows)} rows of {len(wanted)}")
    for row, right in zip(rows, wanted, strict=True):
        if row != right:
            raise WrongAnswerError(f"{name}: {row} is not {right}")


def windows(number: int, days: Days) -> Iterator[tuple[Any, ...]]:
    """A market's rows of the question ``windows``."""
    seen = list(hours(number, days))
    for place, hour in enumerate(seen):
        day = seen[max(0, place - 23) : place + 1]
        yield (
            symbol(number),
            hour.time,
            hour.close,
            hour.close - seen[max(0, place - 1)].close,
            sum(one.close for one in day),
            sum(one.volume for one in day),
            max(one.close for one in seen[: place + 1]),
        )


if __name__ == "__main__":
    main()
