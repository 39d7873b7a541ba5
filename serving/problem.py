"""Problems as clients see them: RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

_MEMBERS = {
    name: {"type": kind}
    for name, kind in {"type": "string", "title": "string", "status": "integer", "detail": "string"}.items()
}
_SCHEMA = {"type": "object", "properties": _MEMBERS, "required": list(_MEMBERS)}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {"application/problem+json": {"schema": _SCHEMA}}}
    for status, description in {
        "4XX": "The question is wrong, or may not be asked (now)",
        "503": "No tier can answer, or too many requests wait",
    }.items()
}
"""As the description of the interface tells them."""


def problem(
    status: HTTPStatus, detail: str, *, kind: str = "about:blank", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """RFC 9457's members, of which `type` is `kind`, and `more` of our own."""
    body = {"type": kind, "title": status.phrase, "status": status.value, "detail": detail, **more}
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")
