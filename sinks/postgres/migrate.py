"""The schema's versions: which files make them, under a lock, and whether the tables are as they should be.

`migrations/NNNN_NAME.sql` makes version NNNN; then, in the same transaction, a file of that version for plain
PostgreSQL (`.plain.sql`) or for TimescaleDB (`.timescale.sql`). A file that was released is never changed: what has to
change is a new version.
"""

import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, NamedTuple

from runtime.errors import CandlewickError
from sinks.postgres.tables import PostgresTable

_NEW = """
CREATE TABLE candlewick_store
(
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    version integer NOT NULL,
    timescale boolean NOT NULL
);
INSERT INTO candlewick_store (version, timescale)
SELECT 0, EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
"""
_COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE pg_class.oid = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS name) AND attnum > 0 AND NOT attisdropped
"""
_BY_MONTH = re.compile(r" PARTITION BY RANGE \(\w+\)")
_NAME = re.compile(r"(\d{4})_\w+(?:\.(plain|timescale))?\.sql")
_OLDEST_SERVER = 140_000


class Migration(NamedTuple):
    """A file of a version."""

    version: int
    kind: str | None
    """``plain`` or ``timescale``; None: for both."""
    sql: str


class Installed(NamedTuple):
    """The schema that a database has."""

    store_id: str
    version: int
    timescale: bool


def migrations() -> list[Migration]:
    """All files, in the order in which they are applied."""
    folder = files("sinks.postgres").joinpath("migrations")
    named = [(match, entry) for entry in folder.iterdir() if (match := _NAME.fullmatch(entry.name))]
    ordered = sorted(named, key=lambda each: (each[0][1], each[0][2] or ""))
    return [Migration(int(match[1]), match[2], entry.read_text()) for match, entry in ordered]


async def migrate(connection: Any, tables: Iterable[PostgresTable], known: list[Migration]) -> Installed:
    """Bring the database to the newest version, while no other process does; then look at the tables.

    Raises `CandlewickError` where the database is of a later version, or is not as the sink needs it; and what the
    client raises.
    """
    newest = max(migration.version for migration in known)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('candlewick schema', 0))")
        await _require_usable(connection)
        if await connection.fetchval("SELECT to_regclass('candlewick_store')") is None:
            await connection.execute(_NEW)
        store = await connection.fetchrow("SELECT id, version, timescale FROM candlewick_store")
        installed = Installed(str(store["id"]), store["version"], store["timescale"])
        if installed.version > newest:
            raise CandlewickError(
                f"the database is of schema version {installed.version}, and this program knows versions up to "
                f"{newest}: run the program that made it, or a later one"
            )
        for migration in known:
            if migration.version > installed.version and migration.kind in (None, _kind(installed)):
                await connection.execute(_BY_MONTH.sub("", migration.sql) if installed.timescale else migration.sql)
        if installed.version < newest:
            await connection.execute("UPDATE candlewick_store SET version = $1", newest)
        await _require_columns(connection, tables)
    return installed._replace(version=newest)


def _kind(installed: Installed) -> str:
    return "timescale" if installed.timescale else "plain"


async def _require_usable(connection: Any) -> None:
    """Raises `CandlewickError` for a server that is too old, or could lose or change what it acknowledged."""
    if int(await connection.fetchval("SHOW server_version_num")) < _OLDEST_SERVER:
        raise CandlewickError("the server is older than PostgreSQL 14: point CANDLEWICK_POSTGRES at a later one")
    if (encoding := await connection.fetchval("SHOW server_encoding")) != "UTF8":
        raise CandlewickError(
            f"the database's encoding is {encoding}, which lacks letters: make one with ENCODING 'UTF8'"
        )
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        raise CandlewickError(
            "synchronous_commit is off, so that the server acknowledges what it may lose: set it to on for this user"
        )


async def _require_columns(connection: Any, tables: Iterable[PostgresTable]) -> None:
    """Raises `CandlewickError` where a table lacks a column or has it in another type. More columns do no harm."""
    wanted = {table.name: table.stored for table in tables}
    stored: dict[str, dict[str, str]] = {name: {} for name in wanted}
    for name, column, type_ in await connection.fetch(_COLUMNS, list(wanted)):
        stored[name][column] = type_
    for name, columns in wanted.items():
        for column, type_ in columns.items():
            if (actual := stored[name].get(column)) != type_:
                what = f"is {actual}" if actual else "is missing"
                raise CandlewickError(
                    f"the table {name} was altered by hand: its column {column} {what}, and has to be {type_}: "
                    "alter it back, or point CANDLEWICK_POSTGRES at another database"
                )
