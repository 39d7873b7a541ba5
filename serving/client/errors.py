"""What a question to the API can end with instead of an answer. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from runtime.errors import CandlewickError


class ApiError(CandlewickError):
    """There was no answer, or none that can be read. The sentence says what to do."""


class ApiProblemError(ApiError):
    """The API said why it does not answer, as a problem of RFC 9457; `str()` has its `detail`.

    `more` has the members of the problem's own, such as ``nearest`` (names like the one asked for) or ``limit``.
    """

    def __init__(
        self, status: int, title: str, detail: str, *, retry_after_s: float | None = None, **more: Any
    ) -> None:
        super().__init__(f"{status} {title}: {detail}" if detail else f"{status} {title}")
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.more = more


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> ApiProblemError:
    """The problem that an answer tells; of one that has no such body, only the status is known."""
    told: Any = None
    try:
        told = orjson.loads(body)
    except ValueError:
        told = None
    members = told if isinstance(told, dict) else {}
    known = {name: str(members.pop(name, "")) for name in ("title", "detail", "type", "status")}
    retry_after = headers.get("Retry-After", "")
    return ApiProblemError(
        status,
        known["title"] or "no answer of Candlewick",
        known["detail"],
        retry_after_s=float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
        **{name: value for name, value in members.items() if name not in {"self", "retry_after_s"}},
    )
