import gzip
import zlib
from collections.abc import AsyncIterator

import lz4.frame
import pytest
import zstandard

from deploy.local import http_body
from deploy.local.clickhouse_sql import (
    exception_code,
    gives_rows,
    http_status,
    output_format,
    quote,
    split_insert,
)


@pytest.mark.parametrize(
    ("statement", "body", "head", "form", "rows"),
    [
        (b"INSERT INTO t (a) FORMAT Native", b"\x01\x02", "INSERT INTO t (a)", "Native", b"\x01\x02"),
        (b"INSERT INTO t (`values`, `with`) FORMAT CSV", b"1", "INSERT INTO t (`values`, `with`)", "CSV", b"1"),
        (b"", b"INSERT INTO t FORMAT Native\n \n\x00", "INSERT INTO t", "Native", b" \n\x00"),
        (b"", b"insert into `d`.`t` (a, b)\n format CSV\r\n1,2\n", "insert into `d`.`t` (a, b)", "CSV", b"1,2\n"),
        (b"", b'INSERT INTO t FORMAT JSONEachRow {"a":1}', "INSERT INTO t", "JSONEachRow", b'{"a":1}'),
        (b"/* why */ INSERT INTO t FORMAT CSV", b"1", "INSERT INTO t", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV 1\n", b"2\n", "INSERT INTO t", "CSV", b"1\n2\n"),
        (
            b"INSERT INTO t SETTINGS async_insert=0 FORMAT TSV", b"1",
            "INSERT INTO t SETTINGS async_insert=0", "TSV", b"1",
        ),
        ("INSERT INTO `dépôt` FORMAT CSV\né".encode(), b"", "INSERT INTO `dépôt`", "CSV", "é".encode()),
    ],
)  # fmt: skip
def test_an_insert_with_rows_is_split(statement: bytes, body: bytes, head: str, form: str, rows: bytes) -> None:
    insert = split_insert(statement, body)
    assert insert is not None
    assert (insert.head, insert.format, bytes(insert.rows)) == (head, form, rows)


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT 1 FORMAT JSON",
        b"INSERT INTO t VALUES ('a FORMAT b')",
        b"INSERT INTO t SELECT * FROM s FORMAT Null",
        b"CREATE TABLE t (a String) -- INSERT INTO t FORMAT CSV\n ENGINE = Memory",
    ],
)
def test_other_statements_are_left_whole(statement: bytes) -> None:
    assert split_insert(statement, b"") is None
    assert split_insert(b"", statement) is None


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("SELECT 1", "Native"),
        ("SELECT 1 format JSON", "JSON"),
        ("SELECT 1 FORMAT CSV ;\n", "CSV"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        ("SELECT 'FORMAT CSV'", "Native"),
    ],
)
def test_a_statement_may_ask_for_its_own_format(statement: str, wanted: str) -> None:
    assert output_format(statement, "Native") == wanted


def test_statements_with_a_result_set_are_known() -> None:
    for statement in ("select 1", " (SELECT 1)", "-- hm\nWITH 1 AS a SELECT a", "/* a */ SHOW TABLES", "DESC t"):
        assert gives_rows(statement)
    for statement in ("CREATE TABLE t", "SELECTED", "ALTER TABLE t DROP COLUMN a"):
        assert not gives_rows(statement)


def test_exceptions_get_the_status_of_a_clickhouse_server() -> None:
    assert http_status(exception_code("Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)")) == 404
    assert http_status(62) == 400
    assert http_status(241) == 500
    assert http_status(exception_code("what?")) == 500


def test_a_quoted_value_cannot_end_its_literal() -> None:
    assert quote("a' OR 1 --\\") == "'a\\' OR 1 --\\\\'"


ROWS = b"candle" * 1000
PACKED = {
    "": ROWS,
    "lz4": lz4.frame.compress(ROWS),
    "zstd": zstandard.ZstdCompressor().compress(ROWS),
    "gzip": gzip.compress(ROWS),
    "deflate": zlib.compress(ROWS),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_every_encoding_of_a_client_is_unpacked(encoding: str) -> None:
    assert http_body.unpack(PACKED[encoding], encoding) == ROWS


@pytest.mark.parametrize("encoding", [*list(PACKED)[1:], "br"])
def test_a_body_that_is_not_what_it_says_is_refused(encoding: str) -> None:
    with pytest.raises(http_body.BodyError, match=encoding):
        http_body.unpack(b"nonsense", encoding)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_that_unpacks_to_more_than_the_limit_is_refused(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "MAX_BYTES", len(ROWS) - 1)
    with pytest.raises(http_body.TooLargeError):
        http_body.unpack(PACKED[encoding], encoding)


async def test_a_body_is_read_up_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"1234"

    monkeypatch.setattr(http_body, "MAX_BYTES", 12)
    assert await http_body.read(chunks()) == b"1234" * 3
    monkeypatch.setattr(http_body, "MAX_BYTES", 11)
    with pytest.raises(http_body.TooLargeError):
        await http_body.read(chunks())


@pytest.mark.parametrize(("accepted", "encoding"), [("lz4,br", "lz4"), ("br, gzip;q=1", "gzip"), ("zstd", "zstd")])
def test_answers_are_packed_as_the_client_likes(accepted: str, encoding: str) -> None:
    packed, used = http_body.pack(ROWS, accepted)
    assert used == encoding
    assert http_body.unpack(packed, encoding) == ROWS
    assert http_body.pack(ROWS, "br") == (ROWS, None)
