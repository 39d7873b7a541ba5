"""Requests as Prometheus sees them."""

import pytest
from fastapi import FastAPI, Response
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Message

from serving.metrics import measured


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"candlewick_http_{name}", labels) or 0.0


async def ask(app: ASGIApp, path: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        return None

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
    }  # fmt: skip
    await app(scope, receive, send)


async def test_requests_are_counted_by_route_and_status_and_timed() -> None:
    api = FastAPI(openapi_url=None)

    @api.get("/measured/{name}")
    async def answer(name: str) -> Response:
        if name == "defect":
            raise RuntimeError
        return Response(status_code=204)

    app, route = measured(api), "/measured/{name}"
    missing = count("requests_total", route="none", status="404")
    await ask(app, "/measured/a")
    await ask(app, "/measured/b")
    await ask(app, "/nowhere/1")
    with pytest.raises(RuntimeError):
        await ask(app, "/measured/defect")
    assert count("requests_total", route=route, status="204") == 2
    assert count("requests_total", route=route, status="500") == 1
    assert count("requests_total", route="none", status="404") == missing + 1
    assert count("request_seconds_count", route=route) == 3
