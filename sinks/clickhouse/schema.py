"""What the tables have to be, by the SQL files beside; and what is different in a database. Pure, but for the files.

`schema.sql` makes the newest version from nothing. `migrations/NNNN_NAME.sql` brings a database from the version before
to version NNNN. A table's comment says which version it is of.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SCHEMA_VERSION = 4
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\n\(\n(.*?)\n\)\n", re.DOTALL)
_VIEW = re.compile(r"CREATE OR REPLACE VIEW (\w+)")
_COLUMN = re.compile(r"^    (\w+) (\w+(?:\((?:[^()]|\([^()]*\))*\))?)( ALIAS)?", re.MULTILINE)
_KEY = re.compile(r"^ORDER BY \((.*)\)$", re.MULTILINE)
_COMMENT = re.compile(r"candlewick (\d+)")
_IN_PLACE_OF = re.compile(r"in place of ([0-9a-f-]{36})")
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")
_ENGINE = "ReplacingMergeTree"


class WarmTable(NamedTuple):
    """A table as a database has it."""

    uuid: str
    comment: str
    engine: str
    sorting_key: str

    @property
    def version(self) -> int | None:
        """Of the schema that made it; None if it is not ours."""
        match = _COMMENT.match(self.comment)
        return int(match[1]) if match else None

    @property
    def id(self) -> str:
        """Its UUID, or that of the table whose rows it took over."""
        match = _IN_PLACE_OF.search(self.comment)
        return match[1] if match else self.uuid


class ExpectedTable(NamedTuple):
    """A table as `schema.sql` makes it; `columns` are types, with ``ALIAS`` behind those that are computed."""

    columns: Mapping[str, str]
    sorting_key: str


def statements(text: str) -> list[str]:
    """The statements of a SQL file, without its comments."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]


def newest_schema() -> list[str]:
    """The statements that make what is missing."""
    return statements(files("sinks.clickhouse").joinpath("schema.sql").read_text())


def migrations(version: int) -> Iterator[list[str]]:
    """The statements of each version after `version`, in order."""
    folder = files("sinks.clickhouse").joinpath("migrations")
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        match = _MIGRATION.fullmatch(entry.name)
        if match and int(match[1]) > version:
            yield statements(entry.read_text())


@cache
def expected_tables() -> Mapping[str, ExpectedTable]:
    """By name."""
    expected = {}
    for statement in newest_schema():
        if table := _TABLE.match(statement):
            columns = {column[1]: column[2] + (column[3] or "") for column in _COLUMN.finditer(table[2])}
            key = _KEY.search(statement)
            expected[table[1]] = ExpectedTable(columns, key[1] if key else "")
    return expected


@cache
def expected_views() -> frozenset[str]:
    """By name."""
    return frozenset(match[1] for statement in newest_schema() if (match := _VIEW.match(statement)))


def alterations(
    tables: Mapping[str, WarmTable], columns: Mapping[tuple[str, str], tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """What is not as `schema.sql` makes it: (table, what about it). `columns`: (table, column) → type, kind of default.

    What a person may want is no alteration: more columns, indices and projections, other codecs and settings.
    """
    for name, expected in expected_tables().items():
        table = tables.get(name)
        if table is None:
            yield name, "is missing"
            continue
        if not table.engine.endswith(_ENGINE):
            yield name, f"has the engine {table.engine}, not {_ENGINE}"
        if table.sorting_key != expected.sorting_key:
            yield name, f"is sorted by ({table.sorting_key}), not by ({expected.sorting_key})"
        for column, wanted in expected.columns.items():
            if (name, column) not in columns:
                yield name, f"lacks the column {column}"
                continue
            kind, default = columns[name, column]
            actual = kind + (" ALIAS" if default == "ALIAS" else "")
            if actual != wanted:
                yield name, f"has the column {column} as {actual}, not {wanted}"
