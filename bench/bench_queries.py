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
from typing import Any, NamedTuple

from broker import servers
from minute_tables import RelationalMinutes, WarmMinutes, question
from minutes import DAY, UNTIL, Days, hours, last, symbol
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


Table = WarmMinutes | RelationalMinutes


class Asked(NamedTuple):
    """A question to so many days of some markets."""

    name: str
    markets: list[int]
    days: int

    def __str__(self) -> str:
        markets = "one market" if len(self.markets) == 1 else f"{len(self.markets)} markets"
        return f"{self.name}, {self.days} days of {markets}"


def measured(table: Table, symbols: int, sizes: Sequence[int], runs: int) -> Figures:
    """A table at each of its sizes, in days."""
    figures: Figures = []
    filled_from = UNTIL
    for days in sorted(sizes):
        began_s = time.perf_counter()
        table.fill(symbols, Days(last(days).first, filled_from))
        filled_from = last(days).first
        took_s = time.perf_counter() - began_s
        rows, size = table.size()
        what = f"{table.name}, {symbols * days * DAY / 1e6:.1f} M candles"
        print(f"{what}: filled in {took_s:.0f} s", flush=True)
        figures += [figure(f"{what}: on disk", "bytes/candle", [size / rows])]
        month, three = min(days, MONTH), [symbols // 3, symbols // 2, symbols - 1]
        for asked in (
            Asked("hours", three[1:2], month),
            Asked("all columns", three[1:2], month),
            Asked("windows", three, days),
        ):
            figures += list(timed(table, what, asked, runs))
    return figures


def timed(table: Table, what: str, asked: Asked, runs: int) -> Iterator[dict[str, Any]]:
    """One question, warm, its answer checked."""
    text = question(table.name, asked.name, asked.markets, last(asked.days))
    seen_ms = []
    for number in range(WARMING + runs):
        began_s = time.perf_counter()
        answer = table.ask(text)
        if number >= WARMING:
            seen_ms.append(1000 * (time.perf_counter() - began_s))
    require_right(asked, answer.rows)
    goal = GOALS_MS.get((asked.name, asked.days)) if table.name == "clickhouse" else None
    yield figure(f"{what}: {asked}", "ms", seen_ms, goal)
    print(
        f"{what}: {asked}: {statistics.median(seen_ms):.1f} ms ({min(seen_ms):.1f} to {max(seen_ms):.1f})", flush=True
    )
    if answer.read_rows is not None and answer.read_bytes is not None:
        yield figure(f"{what}: {asked}: read", "rows", [answer.read_rows])
        yield figure(f"{what}: {asked}: read", "bytes", [answer.read_bytes])
        print(f"{'':20} {answer.read_rows:,} rows, {answer.read_bytes:,} bytes read", flush=True)


def require_right(asked: Asked, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raises `WrongAnswerError`. Of an hour's columns the first seven are held against the numbers."""
    if asked.name == "windows":
        wanted = [row for number in asked.markets for row in windows(number, last(asked.days))]
    else:
        wanted = [tuple(hour) for hour in hours(asked.markets[0], last(asked.days))]
        rows = [row[: len(wanted[0])] for row in rows]
    if len(rows) != len(wanted):
        raise WrongAnswerError(f"{asked}: {len(rows)} rows of {len(wanted)}")
    for row, right in zip(rows, wanted, strict=True):
        if row != right:
            raise WrongAnswerError(f"{asked}: {row} is not {right}")


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
