"""The local engine answers a ClickHouse client as a server would."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse.connect import PassingCode, RowCode

COLUMNS = ["id", "name", "at", "price"]
ROWS = [[number, f"FORMAT {number}", number * 1_000_000, Decimal("27000.1")] for number in range(1000)]


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    root = clickhouse_connect.get_client(dsn=clickhouse_address(settings))
    root.command(f"CREATE DATABASE {settings.clickhouse_database}")
    client = clickhouse_connect.get_client(dsn=f"{clickhouse_address(settings)}/{settings.clickhouse_database}")
    client.command(
        "CREATE TABLE t (id Int64, name String, at DateTime64(6, 'UTC'), price Decimal(38, 18)) ENGINE = MergeTree "
        "ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
    )
    yield client
    root.command(f"DROP DATABASE {settings.clickhouse_database}")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_rows_go_in_and_come_out_exact_with_every_compression(settings: Settings, compression: str | bool) -> None:  # noqa: FBT001
    dsn = f"{clickhouse_address(settings)}/{settings.clickhouse_database}"
    packed = clickhouse_connect.get_client(dsn=dsn, compress=compression)
    assert packed.insert("t", ROWS, column_names=COLUMNS).written_rows == len(ROWS)
    first = [0, "FORMAT 0", datetime(1970, 1, 1, tzinfo=UTC), Decimal("27000.1")]
    found = packed.query("SELECT id, name, at, price FROM t ORDER BY id").result_rows
    assert len(found) == len(ROWS)
    assert [found[0][0], found[0][1], found[0][2].replace(tzinfo=UTC), found[0][3]] == first


def test_a_batch_with_a_token_counts_once_however_often_it_is_sent(client: Client) -> None:
    for token in ("a", "a", "b", "a"):
        client.insert("t", ROWS, column_names=COLUMNS, settings={"insert_deduplication_token": token})
    assert client.command("SELECT count() FROM t") == 2 * len(ROWS)


def test_a_setting_lasts_for_its_request_only(client: Client) -> None:
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 77}) == 77
    assert client.command("SELECT getSetting('max_block_size')") != 77
    with pytest.raises(DatabaseError, match="send settings with the statement"):
        client.command("SET max_block_size = 77")


def test_an_answer_tells_how_much_was_read_for_it(client: Client) -> None:
    answer = client.query("SELECT sum(number) FROM numbers(1000)")
    assert (answer.summary["read_rows"], answer.summary["read_bytes"]) == ("1000", "8000")


def test_parameters_arrive_as_they_are(client: Client) -> None:
    hostile = "it's \\ a\nb\t' OR 1 -- {x}"
    query = "SELECT {s:String}, {l:Array(String)}, {d:Decimal(38, 18)}"
    found = client.query(query, parameters={"s": hostile, "l": [hostile, ""], "d": "0.000000000000000001"})
    assert found.result_rows == [(hostile, [hostile, ""], Decimal("1e-18"))]


def test_a_request_without_a_database_uses_the_default_one(settings: Settings, client: Client) -> None:
    assert client.command("SELECT currentDatabase()") == settings.clickhouse_database
    other = clickhouse_connect.get_client(dsn=clickhouse_address(settings))
    assert other.command("SELECT currentDatabase()") == "default"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM nope", 60),
        ("SELECT FROM WHERE", 62),
        ("SELECT toInt8('x')", 6),
        ("INSERT INTO t VALUES (x)", 62),
    ],
)
def test_what_the_engine_refuses_has_clickhouse_s_code(client: Client, statement: str, code: int) -> None:
    with pytest.raises(DatabaseError, match=rf"Code: {code}\."):
        client.command(statement)
    assert client.command("SELECT 1") == 1


def test_rows_that_do_not_fit_are_refused_whole(client: Client) -> None:
    with pytest.raises(DatabaseError, match=r"Code: 27\."):
        client.raw_insert("t", ["id", "name"], b"1\tone\nx\ttwo\n", fmt="TSV")
    assert client.command("SELECT count() FROM t") == 0


def test_arrow_streams_and_plain_formats_work(client: Client) -> None:
    client.insert_arrow("t", pa.table({"id": pa.array([7], pa.int64()), "name": ["seven"]}))
    assert client.query_arrow("SELECT id, name FROM t").num_rows == 1
    assert client.raw_query("SELECT id, name FROM t", fmt="JSONEachRow") == b'{"id":7,"name":"seven"}\n'
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


async def test_the_asynchronous_client_works(settings: Settings, client: Client) -> None:
    dsn = f"{clickhouse_address(settings)}/{settings.clickhouse_database}"
    async with await clickhouse_connect.get_async_client(dsn=dsn) as other:
        await other.insert("t", ROWS, column_names=COLUMNS)
        assert (await other.query("SELECT count() FROM t")).result_rows == [(len(ROWS),)]
    assert client.command("SELECT count() FROM t") == len(ROWS)


def test_an_error_carries_its_status_and_code(settings: Settings) -> None:
    request = urllib.request.Request(clickhouse_address(settings), data=b"SELECT * FROM nope")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)  # noqa: S310
    assert refused.value.code == 404
    assert refused.value.headers["X-ClickHouse-Exception-Code"] == "60"


def test_errors_have_the_numbers_that_clickhouse_gives_their_names(client: Client) -> None:
    codes = [*PassingCode, *RowCode]
    asked = client.query("SELECT arrayMap(code -> errorCodeToName(code), {codes:Array(Int32)})", {"codes": codes})
    assert asked.result_rows == [([code.name for code in codes],)]
