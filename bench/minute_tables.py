"""Candles of `minutes` in ClickHouse and in PostgreSQL, in our own tables, and the questions to them.

Both answer ``hours`` (a market's candles of an hour), ``all columns`` (the same, with all that a candle
has) and ``windows`` (markets by the hour: change, sums of a day, the highest so far) with the same rows.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import clickhouse_connect
from minutes import NUMBERS, REVISED_EVERY, UNTIL, Days, last, symbol

from runtime.settings import Settings, clickhouse_address, postgres_address
from sinks.clickhouse.schema import newest_schema
from sinks.postgres.migrate import migrate, migrations
from sinks.postgres.tables import TABLES

SQL = Path(__file__).parent / "queries"
AT_ONCE = 20
"""Markets of an insert: a month of them are 0.9 million rows, about as much as the local engine has memory for."""
NEWEST_PARTS = (12, 6, 3, 2, 1)
"""Hours of the newest day in a part: about what merges leave at any moment."""
_NEWEST_DAY = last(1).minutes


class Answer(NamedTuple):
    """Rows, and how many rows and bytes were read for them, where the engine says."""

    rows: list[tuple[Any, ...]]
    read_rows: int | None = None
    read_bytes: int | None = None


def question(engine: str, name: str, markets: Sequence[int], days: Days) -> str:
    """One of the questions in an engine's dialect."""
    names = ", ".join(f"'{symbol(number)}'" for number in markets)
    text = (SQL / f"{name.replace(' ', '_')}.{engine}.sql").read_text()
    return text.format(symbols=names, first=days.first, until=days.until)


class WarmMinutes:
    """ClickHouse's table as in daily life: the newest day in parts that are not merged yet, and revisions of it.

    What is older is written in the order of the table's key, each month in parts that do not overlap, so that merging
    would change nothing; the merges would take longer than all else.
    """

    name = "clickhouse"

    def __init__(self, settings: Settings) -> None:
        self._client = clickhouse_connect.get_client(dsn=clickhouse_address(settings), tz_mode="aware")
        for statement in newest_schema():
            self._client.command(statement)
        self._client.command("SYSTEM STOP MERGES candles")
        self._insertion = (SQL / "fill.clickhouse.sql").read_text()

    def fill(self, symbols: int, days: Days) -> None:
        """Every minute of so many markets; of the last day's also revisions."""
        for month in days.months():
            older = range(month.minutes.start, min(month.minutes.stop, _NEWEST_DAY.start))
            for first in range(0, symbols, AT_ONCE):
                self._insert(range(first, min(first + AT_ONCE, symbols)), older)
        if days.until == UNTIL:
            first = _NEWEST_DAY.start
            for length in NEWEST_PARTS:
                self._insert(range(symbols), range(first, first + 60 * length))
                first += 60 * length
            self._insert(range(symbols), _NEWEST_DAY, version=1)

    def _insert(self, markets: range, span: range, version: int = 0) -> None:
        source = (
            f"SELECT toInt64({markets.start} + intDiv(number, {len(span)})) AS n, "  # noqa: S608
            f"toInt64({span.start} + number % {len(span)}) AS m, toInt64({version}) AS v "
            f"FROM numbers({len(markets) * len(span)}) WHERE m % {REVISED_EVERY if version else 1} = 0"
        )
        block = {"max_block_size": 1 << 20, "min_insert_block_size_rows": 1 << 20, "min_insert_block_size_bytes": 0}
        self._client.command(self._insertion.format(numbers=NUMBERS.format(source=source)), settings=block)

    def ask(self, text: str) -> Answer:
        """Ask, and read the whole answer."""
        answer = self._client.query(text)
        read = (int(answer.summary[f"read_{of}"]) for of in ("rows", "bytes"))
        return Answer([tuple(row) for row in answer.result_rows], *read)

    def size(self) -> tuple[int, int]:
        """Rows, revisions too, and bytes on disk."""
        [(rows, size)] = self._client.query(
            "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'candles'"
        ).result_rows
        return rows, size


class RelationalMinutes:
    """Plain PostgreSQL's table with its partitions by month: of each minute the newest revision."""

    name = "postgres"

    def __init__(self, settings: Settings) -> None:
        self._runner = asyncio.Runner()
        zone = {"timezone": "UTC", "maintenance_work_mem": "512MB"}
        self._connection = self._runner.run(asyncpg.connect(postgres_address(settings), server_settings=zone))
        self._runner.run(migrate(self._connection, TABLES, migrations()))
        self._insertion = (SQL / "fill.postgres.sql").read_text()

    def fill(self, symbols: int, days: Days) -> None:
        """Each month's partition filled, and then its indices made."""
        for month in days.months():
            source = (
                "SELECT n::bigint AS n, m::bigint AS m, "  # noqa: S608
                f"(m >= {_NEWEST_DAY.start} AND m % {REVISED_EVERY} = 0)::int::bigint AS v "
                f"FROM generate_series(0, {symbols - 1}) AS n, "
                f"generate_series({month.minutes.start}, {month.minutes.stop - 1}) AS m"
            )
            whole = month.whole_month()
            self._execute(
                self._insertion.format(
                    name=f"candles_{month.first:%Y_%m}",
                    first=whole.first,
                    until=whole.until,
                    numbers=NUMBERS.format(source=source),
                )
            )
        self._execute("VACUUM ANALYZE candles")

    def ask(self, text: str) -> Answer:
        """Ask, and read the whole answer."""
        return Answer([tuple(row) for row in self._runner.run(self._connection.fetch(text))])

    def size(self) -> tuple[int, int]:
        """Rows as PostgreSQL estimates them, and bytes on disk with the indices."""
        parts = "FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'candles'::regclass"
        [(rows, size)] = self.ask(
            f"SELECT sum(reltuples)::bigint, sum(pg_total_relation_size(inhrelid))::bigint {parts}"
        ).rows
        return rows, size

    def _execute(self, text: str) -> None:
        self._runner.run(self._connection.execute(text, timeout=7200))
