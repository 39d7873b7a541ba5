"""The SQL files of the warm store, before any server is asked."""

from importlib.resources import files

from sinks.clickhouse import encode
from sinks.clickhouse.schema import (
    SCHEMA_VERSION,
    WarmTable,
    alterations,
    expected_tables,
    expected_views,
    migrations,
    newest_schema,
    statements,
)

FOLDER = files("sinks.clickhouse")


def test_every_column_that_the_sink_writes_is_in_the_schema() -> None:
    for table in (
        encode.CANDLES,
        encode.TICKERS,
        encode.FEEDS,
        encode.FUNDING,
        encode.INSTRUMENTS,
        encode.SIGNALS,
        encode.BARS,
    ):
        assert set(table.schema.names) == set(expected_tables()[table.name].columns)
    assert expected_tables().keys() == {
        "trades",
        "candles",
        "tickers",
        "feeds",
        "funding",
        "instruments",
        "signals",
        "bars",
    }
    assert expected_views() == {"candles_of"}


def test_each_table_says_the_newest_version_and_has_a_key() -> None:
    made = [statement for statement in newest_schema() if statement.startswith("CREATE TABLE")]
    assert all(f"COMMENT 'candlewick {SCHEMA_VERSION}'" in statement for statement in made)
    assert all(table.sorting_key.startswith("exchange, symbol") for table in expected_tables().values())


def test_there_is_a_migration_to_each_version_since_the_second() -> None:
    named = sorted(entry.name for entry in FOLDER.joinpath("migrations").iterdir() if entry.name.endswith(".sql"))
    assert [int(name[:4]) for name in named] == list(range(3, SCHEMA_VERSION + 1))
    assert len(list(migrations(2))) == SCHEMA_VERSION - 2
    assert list(migrations(SCHEMA_VERSION)) == []


def test_statements_are_told_apart_and_comments_are_none() -> None:
    assert statements("-- a; b\nSELECT 1;\n  -- c;\nSELECT\n2;\n\n") == ["SELECT 1", "SELECT\n2"]


def test_alterations_are_named_and_additions_are_none() -> None:
    tables = {name: WarmTable("", "candlewick 3", "ReplacingMergeTree", table.sorting_key)
              for name, table in expected_tables().items()}  # fmt: skip
    columns = {
        (name, column): (kind.removesuffix(" ALIAS"), "ALIAS" if kind.endswith(" ALIAS") else "")
        for name, table in expected_tables().items()
        for column, kind in table.columns.items()
    }
    assert list(alterations(tables, columns)) == []
    assert list(alterations(tables, columns | {("trades", "note"): ("String", "")})) == []
    assert (
        list(
            alterations(tables | {"trades": tables["trades"]._replace(engine="ReplicatedReplacingMergeTree")}, columns)
        )
        == []
    )
    assert list(alterations(tables, columns | {("trades", "offset"): ("UInt64", "")})) == [
        ("trades", "has the column offset as UInt64, not UInt64 ALIAS")
    ]
    assert list(alterations(tables | {"feeds": tables["feeds"]._replace(engine="MergeTree")}, columns)) == [
        ("feeds", "has the engine MergeTree, not ReplacingMergeTree")
    ]


def test_a_table_that_took_over_rows_keeps_the_id_of_the_one_that_had_them() -> None:
    first = "6f508d16-5ba0-48d6-8270-916a197d9821"
    table = WarmTable("cd59312a-8ff2-4cd8-aac7-05714f26217d", "candlewick 3", "", "")
    assert (table.id, table.version) == (table.uuid, 3)
    assert table._replace(comment=f"candlewick 3, in place of {first}").id == first
    assert table._replace(comment="somebody's").version is None
