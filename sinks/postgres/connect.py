"""Reaching PostgreSQL, and the one place where its client's errors become ours."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from runtime.errors import CandlewickError, UnavailableError, UsageError

CONNECTIONS = 4
"""At most so many in a pool."""
_CONNECT_S = 10.0
_COMMAND_S = 300.0
_CLOSE_S = 5.0
Pool: TypeAlias = asyncpg.Pool
"""The connections that the readers use."""

_PASSING_CLASSES = ("08", "53", "57", "58")
"""Classes of SQLSTATEs (PostgreSQL's documentation, appendix A) that pass by themselves, or once an operator acts.

No connection; out of disk, memory or connections; stopped or cancelled; an I/O error.
"""
_PASSING = {
    asyncpg.SerializationError.sqlstate,
    asyncpg.DeadlockDetectedError.sqlstate,
    asyncpg.LockNotAvailableError.sqlstate,
    asyncpg.ReadOnlySQLTransactionError.sqlstate,  # a server that is not the primary any more, or not yet
}
_DATA_EXCEPTION = "22"
_CUT = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What the client raises of a connection that is cut or cannot be had; of one cut in mid-operation the second."""


class ValuesRefusedError(Exception):
    """The server says that it cannot hold one or more rows; the others it can."""


class MonthMissingError(Exception):
    """There is no partition for a row."""


async def connect(url: str, *, init: Callable[[asyncpg.Connection], Awaitable[None]] | None = None) -> Pool:
    """A pool of at most `CONNECTIONS`; `init` prepares each connection. Close it with `disconnect`.

    Raises `UsageError` if `url` is no PostgreSQL URL with a database, otherwise what `postgres_errors` raises.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql") or not parts.hostname or not parts.path.strip("/"):
        raise UsageError("CANDLEWICK_POSTGRES is no PostgreSQL URL (postgresql://USER:PASSWORD@HOST:5432/DATABASE)")
    with postgres_errors(url):
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=_CONNECT_S,
            command_timeout=_COMMAND_S,
            init=init,
            server_settings={"application_name": "candlewick", "timezone": "UTC"},
        )


async def disconnect(pool: Pool) -> None:
    """Close the connections; those that do not answer are dropped."""
    try:
        await asyncio.wait_for(pool.close(), _CLOSE_S)
    except (*_CUT, asyncpg.PostgresError):
        pool.terminate()


@contextmanager
def postgres_errors(url: str) -> Iterator[None]:
    """Turn the client's errors into ours.

    `UnavailableError`: it may pass by itself. `ValuesRefusedError`, `MonthMissingError`: it is about rows. Else a
    `CandlewickError`, for a person.
    """
    where = f"PostgreSQL at {urlsplit(url).hostname}"
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _told(where, urlsplit(url).path.strip("/"), error) from error
    except asyncpg.ClientConfigurationError as error:
        raise UsageError(f"CANDLEWICK_POSTGRES: {_in_one_line(error)}") from error
    except _CUT as error:
        raise UnavailableError(f"{where} is away: {_in_one_line(error)}") from error


def _told(where: str, database: str, error: Any) -> Exception:
    reason, state = _in_one_line(error), error.sqlstate or ""
    if state.startswith(_PASSING_CLASSES) or state in _PASSING:
        return UnavailableError(f"{where} is away: {reason}")
    if isinstance(error, asyncpg.CheckViolationError) and not error.constraint_name:
        return MonthMissingError(reason)
    if state.startswith(_DATA_EXCEPTION) or isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ValuesRefusedError(reason)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return CandlewickError(f"{where} refuses the user or password: check CANDLEWICK_POSTGRES ({reason})")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return CandlewickError(f"{where} has no database {database}: make it, or name another in CANDLEWICK_POSTGRES")
    return CandlewickError(f"{where} refuses: {reason}; check CANDLEWICK_POSTGRES, its user's rights and the tables")


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
