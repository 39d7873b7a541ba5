"""Reaching ClickHouse, and the one place where its client's errors become ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, ProgrammingError

from runtime.errors import CandlewickError, UnavailableError, UsageError

Client = AsyncClient
"""The client that the readers use."""
ANY_DATABASE = "system"
"""Is there while ours is not."""
_TIMEOUT_S = 30
_CODE = re.compile(r"\bcode: (\d+)", re.IGNORECASE)


class PassingCode(IntEnum):
    """Errors that pass by themselves, or once an operator acts while the sink waits.

    Names and numbers are those of ClickHouse (``src/Common/ErrorCodes.cpp``).
    """

    TIMEOUT_EXCEEDED = 159
    TOO_SLOW = 160
    DNS_ERROR = 198
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    NO_FREE_CONNECTION = 203
    SOCKET_TIMEOUT = 209
    NETWORK_ERROR = 210
    NO_ZOOKEEPER = 225
    ABORTED = 236
    MEMORY_LIMIT_EXCEEDED = 241
    TABLE_IS_READ_ONLY = 242
    NOT_ENOUGH_SPACE = 243
    TOO_MANY_PARTS = 252
    TOO_FEW_LIVE_REPLICAS = 285
    UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE = 286
    UNKNOWN_STATUS_OF_INSERT = 319
    SYSTEM_ERROR = 425
    CANNOT_SCHEDULE_TASK = 439
    KEEPER_EXCEPTION = 999
    POCO_EXCEPTION = 1000
    UNKNOWN_EXCEPTION = 1002


class RowCode(IntEnum):
    """Errors of single rows of an insert: the table can hold the other rows. Names and numbers as above."""

    ARGUMENT_OUT_OF_BOUND = 69
    TOO_LARGE_STRING_SIZE = 131
    VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE = 321
    DECIMAL_OVERFLOW = 407
    VIOLATED_CONSTRAINT = 469


_TABLE_ALREADY_EXISTS, _UNKNOWN_DATABASE = 57, 81
_PASSING_CODES = frozenset(PassingCode)
_ROW_CODES = frozenset(RowCode)


class RowsRefusedError(Exception):
    """The server says that it cannot hold one or more rows of an insert."""


class DatabaseMissingError(CandlewickError):
    """There is no database of that name."""


class TableThereError(Exception):
    """The server says that there is a table of that name already."""


async def connect(url: str, *, database: str | None = None, answer_timeout_s: int = 10 * _TIMEOUT_S) -> AsyncClient:
    """A client; `database` must exist. Close the client with ``await client.close()``.

    Raises `UsageError` if `url` is no HTTP URL, otherwise what `clickhouse_errors` raises.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UsageError("CANDLEWICK_CLICKHOUSE is no HTTP URL (http://HOST:8123, https://USER:PASSWORD@HOST:8443)")
    with clickhouse_errors(url):
        return await clickhouse_connect.get_async_client(
            dsn=url,
            database=database,
            connect_timeout=_TIMEOUT_S,
            send_receive_timeout=answer_timeout_s,
            autogenerate_session_id=False,
            tz_mode="aware",
        )


@contextmanager
def clickhouse_errors(url: str) -> Iterator[None]:
    """Turn the client's errors into `UnavailableError`, `CandlewickError` for a person, or one of those above."""
    where = urlsplit(url).hostname
    try:
        yield
    except (ClickHouseError, OSError, TimeoutError) as error:
        match = _CODE.search(str(error))
        code = int(match[1]) if match else None
        reason = " ".join(str(error).split())[:300]
        if code == _TABLE_ALREADY_EXISTS:
            raise TableThereError(reason) from error
        if code == _UNKNOWN_DATABASE:
            raise DatabaseMissingError(
                f"ClickHouse at {where} has no such database: {reason}; check CANDLEWICK_CLICKHOUSE_DATABASE, or make "
                "it with candlewick migrate clickhouse"
            ) from error
        if code in _ROW_CODES:
            raise RowsRefusedError(reason) from error
        is_refused_here = isinstance(error, ProgrammingError)  # as a setting that this user may not change
        if (code is None and not is_refused_here) or code in _PASSING_CODES:
            raise UnavailableError(f"ClickHouse at {where} is away: {reason}") from error
        raise CandlewickError(
            f"ClickHouse at {where} refuses: {reason}; check CANDLEWICK_CLICKHOUSE, its user's rights and the tables"
        ) from error
