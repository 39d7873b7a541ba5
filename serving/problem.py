"""Problems as clients see them: RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response


def problem(
    status: HTTPStatus, detail: str, *, kind: str = "about:blank", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """RFC 9457's members, of which `type` is `kind`, and `more` of our own."""
    body = {"type": kind, "title": status.phrase, "status": status.value, "detail": detail, **more}
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")
