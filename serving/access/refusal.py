"""Why a request is not answered, as the client is told it. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

NO_TYPE = "about:blank"
_IANA = "https://iana.org/assignments/http-problem-types#"
QUOTA_EXCEEDED = f"{_IANA}quota-exceeded"
REDUCED_CAPACITY = f"{_IANA}temporary-reduced-capacity"
"""Problem types of draft-ietf-httpapi-ratelimit-headers-11, section 5."""


class Reason(StrEnum):
    """The label of the metric."""

    KEY = "key"
    SCOPE = "scope"
    SIZE = "size"
    RATE = "rate"
    UNCOUNTED = "uncounted"
    OVERLOAD = "overload"
    TIME = "time"


class RequestRefusedError(Exception):
    """The request is not answered; `str()` is the problem's `detail`."""

    def __init__(
        self,
        reason: Reason,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str = NO_TYPE,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})
        self.more = more


def overloaded(detail: str, retry_after_s: int, reason: Reason = Reason.OVERLOAD) -> RequestRefusedError:
    """The server cannot now: ask again after that time."""
    headers = {"Retry-After": str(retry_after_s)}
    return RequestRefusedError(reason, HTTPStatus.SERVICE_UNAVAILABLE, detail, kind=REDUCED_CAPACITY, headers=headers)
