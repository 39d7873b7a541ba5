"""The ClickHouse engine of the chdb wheel: one connection, one statement at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb
import orjson

from deploy.local.clickhouse_sql import gives_rows, output_format, quote, split_insert

MAX_MEMORY_BYTES = 900_000_000
MAX_STATEMENT_S = 300
"""Where the client does not say: the engine serves one statement at a time, so none may hold it for good."""
VERSION = str(chdb.engine_version)
DEFAULT_DATABASE = "default"


class EngineError(Exception):
    """The engine refused a statement; the message is ClickHouse's own, with its code."""


@dataclass(frozen=True, kw_only=True)
class QueryRequest:
    """A statement with what a client may send along."""

    statement: bytes = b""
    body: bytes = b""
    format: str = "TabSeparated"
    database: str = DEFAULT_DATABASE
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a statement gave; `format` is None where there is no result set."""

    data: bytes = b""
    format: str | None = None
    summary: Mapping[str, str]


class Engine:
    """An engine over one data folder. Settings and the database persist in a connection: only changes are sent.

    There are no sessions: ``SET`` is refused, a temporary table would be seen by all clients.
    """

    def __init__(self, folder: Path) -> None:
        connect: Any = chdb.connect  # untyped
        self._connection = connect(
            f"{folder}?max_server_memory_usage={MAX_MEMORY_BYTES}&max_execution_time={MAX_STATEMENT_S}"
        )
        self._database = DEFAULT_DATABASE
        self._settings: dict[str, str] = {}
        self.timezone = self._query("SELECT timezone()").bytes().decode().strip()

    def close(self) -> None:
        """Close the engine; then everything is on the disk."""
        self._connection.close()

    def execute(self, request: QueryRequest) -> Answer:
        """Run one statement; raises `EngineError`."""
        self._use(request.database)
        self._set(request.settings)
        insert = split_insert(request.statement, request.body)
        if insert:
            return self._insert(insert.head, insert.format, insert.rows)
        text = b"\n".join(part for part in (request.statement, request.body) if part).decode(errors="replace")
        if text.lstrip()[:4].upper() == "SET ":
            raise EngineError("Code: 48. DB::Exception: there are no sessions here: send settings with the statement")
        wanted = output_format(text, request.format)
        result = self._query(text, wanted, request.parameters)
        data = result.bytes() or b""
        if text.lstrip()[:4].upper() == "USE ":
            self._database = ""  # not known any more: the next request sets it again
        return Answer(
            data=data,
            format=wanted if data or gives_rows(text) else None,
            summary=_summary(
                read=(result.storage_rows_read(), result.storage_bytes_read()), elapsed_s=result.elapsed()
            ),
        )

    def _insert(self, head: str, rows_format: str, rows: memoryview) -> Answer:
        """The engine keeps errors at an insert's end, as of a full disk, to itself: only its counts of errors tell.

        An error of a merge at the same time counts too: then a client sends again what is there.
        """
        before = self._errors()
        try:
            with self._connection.send_insert(head, rows_format) as stream:
                stream.append(rows)
                done = stream.finish()
        except (RuntimeError, chdb.ChdbError) as error:
            raise EngineError(_own_message(error)) from error
        for name, (count, code, message) in self._errors().items():
            if count > before.get(name, (0, code, ""))[0]:
                raise EngineError(f"Code: {code}. DB::Exception: {message}. ({name})")
        written = (done.rows_written, done.bytes_written)
        return Answer(summary=_summary(written=written, elapsed_s=done.elapsed))

    def _errors(self) -> dict[str, tuple[int, int, str]]:
        """By name, so far: how often, the code, and the last message."""
        told = self._query("SELECT name, value, code, last_error_message FROM system.errors", "JSONCompactEachRow")
        rows = (orjson.loads(line) for line in (told.bytes() or b"").splitlines())
        return {name: (int(count), code, message) for name, count, code, message in rows}

    def _use(self, database: str) -> None:
        if database != self._database:
            self._query(f"USE {_identifier(database)}")
            self._database = database

    def _set(self, settings: Mapping[str, str]) -> None:
        for name in [name for name in self._settings if name not in settings]:
            self._query(f"SET {_identifier(name)} = DEFAULT")
            del self._settings[name]
        for name, value in settings.items():
            if self._settings.get(name) != value:
                self._query(f"SET {_identifier(name)} = {quote(value)}")
                self._settings[name] = value

    def _query(self, statement: str, output: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Any:
        try:
            return self._connection.query(statement, output, params=dict(parameters or {}))
        except (RuntimeError, chdb.ChdbError) as error:
            raise EngineError(_own_message(error)) from error


def _identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _own_message(error: Exception) -> str:
    text = str(error)
    begin = text.find("Code: ")
    return text[begin:] if begin >= 0 else f"Code: 1002. DB::Exception: {text}"


def _summary(
    *, read: tuple[int, int] = (0, 0), written: tuple[int, int] = (0, 0), elapsed_s: float
) -> Mapping[str, str]:
    return {
        "read_rows": str(read[0]),
        "read_bytes": str(read[1]),
        "written_rows": str(written[0]),
        "written_bytes": str(written[1]),
        "result_rows": str(written[0]),
        "elapsed_ns": str(int(elapsed_s * 1e9)),
    }
