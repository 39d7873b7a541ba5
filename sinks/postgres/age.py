"""Age: months are made as rows of them come, and trades leave after so many days if that is asked for."""

import datetime as dt
import time
from typing import Any

import pyarrow as pa

from sinks.postgres.tables import TRADES, PostgresTable

_LOOK_S = 3600.0
"""How often to look for months that are over."""


class Months:
    """The partitions of plain PostgreSQL, one for each month that there are rows of.

    Trades leave by whole months, once a month is older than `keep_days`; None: they stay.
    """

    def __init__(self, keep_days: int | None) -> None:
        self._keep_days = keep_days
        self._known: set[tuple[str, str]] = set()
        self._looked_at_s: float | None = None

    async def prepare(self, connection: Any, table: PostgresTable, rows: pa.Table) -> None:
        """Make the months of these rows. Raises what the client raises."""
        await self._drop(connection)
        for month in table.months(rows):
            if (table.name, month) not in self._known:
                first = dt.datetime.fromisoformat(f"{month}-01T00:00+00:00")
                await connection.execute("SELECT make_month($1, $2)", table.name, first)
                self._known.add((table.name, month))

    def forget(self) -> None:
        """A month was dropped by somebody else: look again."""
        self._known.clear()

    async def _drop(self, connection: Any) -> None:
        now_s = time.monotonic()
        if self._keep_days is None or (self._looked_at_s is not None and now_s - self._looked_at_s < _LOOK_S):
            return
        keep = dt.timedelta(days=self._keep_days)
        await connection.execute("SELECT drop_months($1, now() - $2::interval)", TRADES.name, keep)
        self._looked_at_s = now_s
        self.forget()


async def set_retention(connection: Any, keep_days: int | None) -> None:
    """Have TimescaleDB drop trades after so many days, or (None) never. Raises what the client raises."""
    wanted = None if keep_days is None else f"{keep_days} days"
    current = await connection.fetchval(
        "SELECT config->>'drop_after' FROM timescaledb_information.jobs "
        "WHERE proc_name = 'policy_retention' AND hypertable_name = $1",
        TRADES.name,
    )
    if current == wanted:
        return
    await connection.execute("SELECT remove_retention_policy($1::regclass, if_exists => true)", TRADES.name)
    if keep_days is not None:
        await connection.execute(
            "SELECT add_retention_policy($1::regclass, $2::interval)", TRADES.name, dt.timedelta(days=keep_days)
        )
