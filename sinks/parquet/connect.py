"""Reaching the cold store by URL, and the one place where its client's errors become ours."""

import datetime as dt
import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import ObjectStore, from_url

from runtime.errors import CandlewickError, UnavailableError, UsageError

Client = ObjectStore
"""The client that the readers use."""
_RETRY_FOR = dt.timedelta(seconds=15)
# As these errors stand in the client's messages; no path looks like them, because names in paths are percent-encoded.
_NEVER = re.compile(
    rf"\(os error ({errno.ENOTDIR}|{errno.EISDIR}|{errno.EINVAL}|{errno.ELOOP})\)|<Code>InvalidBucketName<"
)
_LONG_NAME = re.compile(rf"\(os error {errno.ENAMETOOLONG}\)|<Code>KeyTooLong")
_SAID = re.compile(r"<Code>(\w+)</Code>\s*<Message>(.*?)</Message>", re.DOTALL)
"""What an S3 server answers, in the client's message behind a long URL."""
_CHECK = "check CANDLEWICK_COLD, the bucket and the rights on it"
_CHECK_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_WAYS_ON = {
    "RequestTimeTooSkewed": "set the clock of this machine, or of the server: they are too far apart",
    "InvalidAccessKeyId": _CHECK_KEYS,
    "SignatureDoesNotMatch": _CHECK_KEYS,
    "NoSuchBucket": "make the bucket, or name another in CANDLEWICK_COLD",
}
"""By S3's code of the error."""
_REFUSING = (
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.InvalidPathError,
    exceptions.NotSupportedError,
    FileNotFoundError,
)


class NameRefusedError(Exception):
    """No file can have this name in the store: it is too long."""


def connect(url: str) -> ObjectStore:
    """An obstore store at ``file://``, ``s3://``, ``gs://`` or ``az://``; paths are relative to the URL's.

    Credentials and endpoints come from the variables of the clouds' own tools (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL``…). Raises `UsageError` if `url` is no such URL.
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
def cold_errors(url: str, *, raise_missing: bool = False) -> Iterator[None]:
    """Turn what the client raises into `UnavailableError` (it may pass by itself) or `CandlewickError`.

    Three errors go on to the caller: `AlreadyExistsError` (the name is taken), `NameRefusedError` (no file can have
    this name) and, with `raise_missing`, `FileNotFoundError`.
    """
    try:
        yield
    except exceptions.AlreadyExistsError:
        raise
    except (exceptions.BaseError, OSError) as error:
        if raise_missing and isinstance(error, FileNotFoundError):
            raise
        if _LONG_NAME.search(str(error)):
            raise NameRefusedError(
                "the cold store can hold no file of that name: a part of its path is too long"
            ) from error
        if isinstance(error, _REFUSING) or _NEVER.search(str(error)):
            said = _SAID.search(str(error))
            way_on = _WAYS_ON.get(said[1], _CHECK) if said else _CHECK
            raise CandlewickError(f"the cold store {url} refuses: {_brief(error)}; {way_on}") from error
        raise UnavailableError(f"the cold store {url} is away: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    if said := _SAID.search(str(error)):
        return f"{said[1]}: {said[2]}"[:300].rstrip(".")
    reason, _, _ = str(error).partition("Debug source:")
    return " ".join(reason.split())[:300]
