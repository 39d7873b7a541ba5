"""Reaching ClickHouse, and the one place where its client's errors become ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.errors import CandlewickError, UnavailableError, UsageError

Client = AsyncClient
"""What the readers ask."""
_TIMEOUT_S = 30
_CODE = re.compile(r"\bcode: (\d+)", re.IGNORECASE)
# Each passes without anybody's doing, or by an operator's, while the sink waits: time-outs, limits, full disks,
# too many parts or queries, read-only tables, a keeper or replicas that are away.
_PASSING = frozenset(
    {159, 160, 164, 198, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 285, 286, 319, 425, 439, 999, 1000, 1002}
)
_REJECTING = frozenset({69, 131, 321, 407, 469})
"""Values out of bounds, too large strings, overflows, violated constraints: these rows, not the others."""


class RowsRefusedError(Exception):
    """The server says that some row of an insert cannot be held."""


async def connect(url: str, *, database: str | None = None) -> AsyncClient:
    """A client; `database` must be there. Close it with ``await client.close()``.

    Raises `UsageError` where `url` is no HTTP URL, else as `clickhouse_errors`.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UsageError("CANDLEWICK_CLICKHOUSE is no HTTP URL (http://HOST:8123, https://USER:PASSWORD@HOST:8443)")
    with clickhouse_errors(url):
        return await clickhouse_connect.get_async_client(
            dsn=url,
            database=database,
            connect_timeout=_TIMEOUT_S,
            send_receive_timeout=10 * _TIMEOUT_S,
            autogenerate_session_id=False,
            tz_mode="aware",
        )


@contextmanager
def clickhouse_errors(url: str) -> Iterator[None]:
    """Turn what the client raises into `UnavailableError`, `RowsRefusedError`, or a sentence for a person."""
    where = urlsplit(url).hostname
    try:
        yield
    except (ClickHouseError, OSError, TimeoutError) as error:
        found = _CODE.search(str(error))
        code = int(found[1]) if found else None
        reason = " ".join(str(error).split())[:300]
        if code in _REJECTING:
            raise RowsRefusedError(reason) from error
        if code is None or code in _PASSING:
            raise UnavailableError(f"ClickHouse at {where} is away: {reason}") from error
        raise CandlewickError(
            f"ClickHouse at {where} refuses: {reason}; check CANDLEWICK_CLICKHOUSE, its user's rights and the tables"
        ) from error
