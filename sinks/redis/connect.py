"""Reaching Redis, and the one place where its client's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis

from runtime.errors import CandlewickError, UnavailableError, UsageError

_TIMEOUT_S = 10.0
_PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.TryAgainError,
    OSError,
)
_PASSING_WORDS = ("OOM", "LOADING", "READONLY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY")


def connect(url: str) -> Redis:
    """An asyncio client that answers bytes; nothing is sent yet. Close it with ``await client.aclose()``.

    Raises `UsageError` if `url` is no Redis URL.
    """
    try:
        return Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, protocol=2)
    except ValueError as error:
        raise UsageError(f"CANDLEWICK_REDIS is no Redis URL (redis://HOST:PORT/0): {error}") from None


@contextmanager
def redis_errors(url: str) -> Iterator[None]:
    """Turn what the client raises into `UnavailableError` (it may pass by itself) or `CandlewickError`."""
    where = urlsplit(url).hostname
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise CandlewickError(
            f"Redis at {where} refuses the user or password: check CANDLEWICK_REDIS ({error})"
        ) from error
    except _PASSING as error:
        raise UnavailableError(f"Redis at {where} is away: {error}") from error
    except exceptions.RedisError as error:
        if any(word in str(error) for word in _PASSING_WORDS):
            raise UnavailableError(f"Redis at {where} cannot take writes now: {error}") from error
        raise CandlewickError(f"Redis at {where} refuses: {error}; is another program writing these keys?") from error
