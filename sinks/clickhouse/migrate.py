"""Making and migrating the tables: one process at a time, and every step can be repeated after a crash.

1. look: which tables are there, and of which version; a later version than ours is refused
2. if something is missing or of an earlier version: take the lock, and look again
3. the statements of each later version, then those of `schema.sql`
4. give the lock back, and look whether the tables are as they have to be

The lock is a table, because only one process can make a table of a name. It stays if its owner dies: whoever waits sees
that its comment does not change and no statement of its owner runs, and takes it.
"""

import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver import AsyncClient

from runtime.errors import CandlewickError, UnavailableError
from runtime.telemetry import logger
from sinks.clickhouse.connect import (
    ANY_DATABASE,
    DatabaseMissingError,
    TableThereError,
    clickhouse_errors,
    connect,
)
from sinks.clickhouse.schema import (
    SCHEMA_VERSION,
    WarmTable,
    alterations,
    expected_tables,
    expected_views,
    migrations,
    newest_schema,
)

OLDEST_VERSION = 2
LOCK = "schema_lock"
LOOKS_AT_A_LOCK = 5
"""So often a lock is seen unchanged, at growing intervals, before it counts as left behind."""
_COPY_S = 86_400
"""How long one statement may take: the copy of a partition."""
_TELL_INTERVAL_S = 2.0
_TABLES = """
SELECT name, toString(uuid), comment, engine, sorting_key FROM system.tables
WHERE database = {database:String} AND name IN {names:Array(String)}
"""
_COLUMNS = """
SELECT table, name, type, default_kind FROM system.columns
WHERE database = {database:String} AND table IN {names:Array(String)}
"""
_PARTITIONS = """
SELECT DISTINCT partition_id FROM system.parts
WHERE database = {database:String} AND table = {table:String} AND active ORDER BY partition_id
"""
_CHANGE = re.compile(r"(?:RENAME|ALTER) TABLE (\w+)(?: TO (\w+))?")
_COPY = re.compile(r"INSERT INTO (\w+).*\bFROM (\w+)\nWHERE _partition_id = \{partition:String\}", re.DOTALL)
_IN_PLACE_OF = re.compile(r", in place of \{uuid of (\w+)\}")


class TablesThere(NamedTuple):
    """What a look at a database found."""

    tables: Mapping[str, WarmTable]
    views: frozenset[str]

    @property
    def version(self) -> int:
        """The earliest of any table; the newest if there is no table."""
        return min((table.version or 0 for table in self.tables.values()), default=SCHEMA_VERSION)

    @property
    def are_current(self) -> bool:
        """Whether nothing has to be made or migrated."""
        all_there = self.tables.keys() == expected_tables().keys() and self.views == expected_views()
        return all_there and self.version == SCHEMA_VERSION


class SchemaKeeper:
    """Brings one database's tables to the newest version. Keep it between tries: it remembers the lock that it saw."""

    def __init__(self, url: str, database: str) -> None:
        self._url = url
        self._database = database
        self._log = logger("clickhouse.schema")
        self._lock_seen, self._times_seen = "", 0
        self._told_at_s = time.monotonic()

    async def bring_up_to_date(self) -> None:
        """Make and migrate what has to be. Raises `UnavailableError` while another process does: ask again then.

        Raises `CandlewickError` for tables of another program or of a later version, for tables that were altered, and
        where this user may not make them.
        """
        there = await self._look_once()
        if not there.are_current:
            try:
                await self._make_database()
                await self._change()
            except UnavailableError:
                raise
            except CandlewickError as error:
                raise CandlewickError(
                    f"{error}. The tables of {self._database} have to be made or migrated: run candlewick migrate "
                    "clickhouse as a user that may"
                ) from error
        async with await connect(self._url, database=self._database) as client:
            await self._require_unaltered(client, await self._look(client))

    async def _look_once(self) -> TablesThere:
        try:
            client = await connect(self._url, database=self._database)
        except DatabaseMissingError:
            return TablesThere({}, frozenset())
        try:
            return await self._look(client)
        finally:
            await client.close()

    async def _make_database(self) -> None:
        async with await connect(self._url, database=ANY_DATABASE) as client:
            await self._execute(client, f"CREATE DATABASE IF NOT EXISTS {self._database}")

    async def _look(self, client: AsyncClient) -> TablesThere:
        rows = await self._ask(client, _TABLES, names=[*expected_tables(), *expected_views()])
        tables = {name: WarmTable(*rest) for name, *rest in rows}
        views = frozenset(name for name in tables if name in expected_views())
        there = TablesThere({name: table for name, table in tables.items() if name not in views}, views)
        for name, table in there.tables.items():
            self._require_known(name, table)
        return there

    def _require_known(self, name: str, table: WarmTable) -> None:
        version = table.version
        if version is not None and version > SCHEMA_VERSION:
            raise CandlewickError(
                f"the table {self._database}.{name} is of schema {version}, this program knows schemas up to "
                f"{SCHEMA_VERSION}: run a newer candlewick, or point CANDLEWICK_CLICKHOUSE_DATABASE at another database"
            )
        if version is None or version < OLDEST_VERSION:
            raise CandlewickError(
                f"the table {self._database}.{name} is not of schema {OLDEST_VERSION} to {SCHEMA_VERSION} but has the "
                f"comment {table.comment!r}: point CANDLEWICK_CLICKHOUSE_DATABASE at another database"
            )

    async def _require_unaltered(self, client: AsyncClient, there: TablesThere) -> None:
        rows = await self._ask(client, _COLUMNS, names=list(expected_tables()))
        columns = {(table, name): (kind, default) for table, name, kind, default in rows}
        if altered := [f"{self._database}.{name} {what}" for name, what in alterations(there.tables, columns)]:
            raise CandlewickError(
                f"tables were altered by hand: {'; '.join(altered)}. Alter them back, or point "
                "CANDLEWICK_CLICKHOUSE_DATABASE at another database"
            )

    async def _change(self) -> None:
        async with (
            await connect(self._url, database=self._database, answer_timeout_s=_COPY_S) as client,
            self._locked(client) as owner,
        ):
            there = await self._look(client)
            steps = [step for version in migrations(there.version) for step in version] + newest_schema()
            for number, step in enumerate(steps, 1):
                await self._keep_lock(client, owner, f"step {number} of {len(steps)}")
                await self._apply(client, owner, step)

    async def _apply(self, client: AsyncClient, owner: str, step: str) -> None:
        """One statement, unless it was done already, or is about a table that is not there."""
        if copy := _COPY.match(step):
            await self._copy(client, owner, step, *copy.groups())
        elif change := _CHANGE.match(step):
            if await self._table(client, change[1]) and not (change[2] and await self._table(client, change[2])):
                if before := _IN_PLACE_OF.search(step):
                    origin = await self._table(client, before[1])
                    step = step.replace(before[0], f", in place of {origin.id}" if origin else "")
                await self._execute(client, step, owner)
        else:
            await self._execute(client, step, owner)

    async def _copy(self, client: AsyncClient, owner: str, step: str, into: str, source: str) -> None:
        """Partition by partition: what is copied twice counts once."""
        if not await self._table(client, source):
            return
        for (partition,) in await self._ask(client, _PARTITIONS, table=source):
            rows = await self._count(client, source, partition)
            if await self._count(client, into, partition) < rows:
                await self._keep_lock(client, owner, f"copying {rows} rows of {partition}")
                await self._execute(client, step, owner, partition=partition)
                self._log.info("copied", table=into, partition=partition, rows=rows)
            if (copied := await self._count(client, into, partition)) < rows:
                raise CandlewickError(f"{into} holds {copied} of the {rows} rows of {source} in {partition}")
        self._log.warning("the earlier table stays: drop it once you have looked", table=source)

    async def _count(self, client: AsyncClient, table: str, partition: str) -> int:
        query = f"SELECT count() FROM {table} FINAL WHERE _partition_id = {{partition:String}}"  # noqa: S608
        [(count,)] = await self._ask(client, query, partition=partition)
        return int(count)

    async def _table(self, client: AsyncClient, name: str) -> WarmTable | None:
        rows = await self._ask(client, _TABLES, names=[name])
        return WarmTable(*rows[0][1:]) if rows else None

    @asynccontextmanager
    async def _locked(self, client: AsyncClient) -> AsyncIterator[str]:
        owner = f"candlewick-schema-{uuid.uuid4().hex}"
        comment = f"{owner} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        try:
            await self._execute(client, f"CREATE TABLE {LOCK} (nothing UInt8) ENGINE = Memory COMMENT '{comment}'")
        except TableThereError:
            await self._wait_for_lock(client)
        try:
            yield owner
        finally:
            if await self._lock_comment(client, owner):
                await self._execute(client, f"DROP TABLE {LOCK}")

    async def _wait_for_lock(self, client: AsyncClient) -> None:
        """Raise `UnavailableError`; if the lock was left behind, after removing it."""
        comment = await self._lock_comment(client)
        running = "SELECT count() FROM system.processes WHERE startsWith(query_id, {owner:String})"
        [(statements,)] = await self._ask(client, running, owner=comment.split(" ")[0] or "-")
        self._times_seen = self._times_seen + 1 if comment == self._lock_seen and not statements else 0
        self._lock_seen = comment
        if self._times_seen >= LOOKS_AT_A_LOCK:
            self._log.warning("a process died while it migrated: taking its lock", lock=comment)
            await self._execute(client, f"DROP TABLE IF EXISTS {LOCK}")
        raise UnavailableError(f"the tables of {self._database} are being migrated by another process ({comment})")

    async def _keep_lock(self, client: AsyncClient, owner: str, doing: str) -> None:
        """Say now and then what is done; raises `UnavailableError` if another process took the lock."""
        if not await self._lock_comment(client, owner):
            raise UnavailableError(f"another process took over migrating {self._database}")
        if time.monotonic() - self._told_at_s > _TELL_INTERVAL_S:
            self._told_at_s = time.monotonic()
            await self._execute(client, f"ALTER TABLE {LOCK} MODIFY COMMENT '{owner}: {doing}'")

    async def _lock_comment(self, client: AsyncClient, owner: str = "") -> str:
        """What the lock says; empty if it is not there, or not this owner's."""
        lock = await self._table(client, LOCK)
        return lock.comment if lock and lock.comment.startswith(owner) else ""

    async def _ask(self, client: AsyncClient, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        with clickhouse_errors(self._url):
            answer = await client.query(query, parameters={"database": self._database} | parameters)
        return answer.result_rows

    async def _execute(self, client: AsyncClient, statement: str, owner: str = "", **parameters: Any) -> None:
        settings = {"max_execution_time": 0} | ({"query_id": f"{owner}-{uuid.uuid4().hex}"} if owner else {})
        with clickhouse_errors(self._url):
            await client.command(statement, parameters=parameters, settings=settings)
