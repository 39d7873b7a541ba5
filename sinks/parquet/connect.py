"""Reaching the cold store by URL, and the one place where its client's errors become ours."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import from_url

from runtime.errors import CandlewickError, UnavailableError, UsageError

_RETRY_FOR = dt.timedelta(seconds=15)
_REFUSING = (
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.InvalidPathError,
    exceptions.NotSupportedError,
    FileNotFoundError,
)


def connect(url: str) -> Any:
    """An obstore store at ``file://``, ``s3://``, ``gs://`` or ``az://``; paths are relative to the URL's.

    Credentials and endpoints are taken as those clouds' own tools do (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``…).
    """
    try:
        if urlsplit(url).scheme == "file":
            return from_url(url, mkdir=True)
        return from_url(url, retry_config={"max_retries": 3, "retry_timeout": _RETRY_FOR})
    except (ValueError, OSError, exceptions.BaseError) as error:
        raise UsageError(
            f"no cold store at {url}: {_brief(error)}; CANDLEWICK_COLD must be like file:///folder or s3://bucket/prefix"
        ) from error


@contextmanager
def cold_errors(url: str) -> Iterator[None]:
    """Turn what the client raises into one sentence; a name that is taken is the caller's (`AlreadyExistsError`)."""
    try:
        yield
    except exceptions.AlreadyExistsError:
        raise
    except _REFUSING as error:
        raise CandlewickError(
            f"the cold store {url} refuses: {_brief(error)}; check CANDLEWICK_COLD, the bucket and the rights on it"
        ) from error
    except (exceptions.BaseError, OSError) as error:
        raise UnavailableError(f"the cold store {url} is away: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    told, _, _ = str(error).partition("Debug source:")
    return " ".join(told.split())[:300]
