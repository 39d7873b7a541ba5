"""Requests counted by route and status, and how long they took; on the metrics port, beside the metrics of every stage.

``candlewick_http_requests_total{route,status}`` and ``candlewick_http_request_seconds{route}``. A route is as in the
API's own description (``/v1/candles``), never a path as it was asked: there would be no end of them.
"""

import time
from functools import lru_cache
from http import HTTPStatus

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_ROUTE = "none"
"""The route of a request that no route matches."""
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Up to the time after which a tier counts as away (`serving.tiers`)."""

_requests = Counter("candlewick_http_requests", "HTTP requests answered", ["route", "status"])
_seconds = Histogram(
    "candlewick_http_request_seconds", "Time from a request's head to its answer's end", ["route"], buckets=_BUCKETS_S
)
_counter = lru_cache(lambda route, status: _requests.labels(route, str(status)))
_timer = lru_cache(_seconds.labels)
"""Looking a label up takes longer than counting."""


def measured(app: ASGIApp) -> ASGIApp:
    """The application, each of its requests counted and timed."""

    async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value  # where no answer begins

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_s = time.monotonic()
        try:
            await app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            _counter(route, status).inc()
            _timer(route).observe(time.monotonic() - began_s)

    return measuring
