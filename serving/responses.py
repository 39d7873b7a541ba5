"""Answers and refusals on their way out, that several routes send."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from serving.problem import problem

RETRY_AFTER_S = 5
"""When to ask again what the tiers could not answer, or what too many asked for at once."""


def to_bytes(answer: Mapping[str, Any]) -> bytes:
    """The body of an answer."""
    return orjson.dumps(answer)


def json_response(answer: Mapping[str, Any]) -> Response:
    """A good answer."""
    return Response(to_bytes(answer), media_type="application/json")


def unavailable(detail: str) -> Response:
    """The problem that passes: 503, and when to ask again."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
