"""A model server that speaks OpenAI's chat completions, and answers the same to the same: for tests without a model.

It says how many markets it was shown and which language it was asked for, word by word. What it shall do wrong first is
given as a script: a status, ``cut`` (the connection breaks within the answer), ``hang`` (nothing more comes),
``endless`` or ``no-usage``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "sk-local-secret"
USAGE = {"prompt_tokens": 1234, "completion_tokens": 56, "total_tokens": 1290}


@dataclass
class ModelLog:
    """Its address, and the bodies and keys of the questions so far."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    open: int = 0
    """How many hang."""


def reply_to(messages: Sequence[dict[str, str]]) -> str:
    told = json.loads(messages[1]["content"])
    language = messages[0]["content"].partition("Write in ")[2].partition(".")[0]
    return f"{len(told['statistics']['markets'])} markets, asked in {language}: {told['question']}"


@asynccontextmanager
async def model_serving(
    script: Sequence[int | str] = (), *, retry_after_s: int | None = None
) -> AsyncIterator[ModelLog]:
    log, steps = ModelLog(), list(script)

    async def complete(request: web.Request) -> web.StreamResponse:
        log.keys.append(request.headers.get("Authorization"))
        log.asked.append(body := await request.json())
        step = steps.pop(0) if steps else "answer"
        if isinstance(step, int):
            headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
            message = f"error {step} with key {log.keys[-1]}"  # as careless servers say it
            return web.json_response({"error": {"message": message}}, status=step, headers=headers)
        assert body["stream"] is True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in reply_to(body["messages"]).split(" "):
            await _send(response, {"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
            if step == "cut":
                assert request.transport is not None
                request.transport.abort()
                return response
            if step == "hang":
                await _hang(response, log)
                return response
        await _send(response, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if step != "no-usage":
            await _send(response, {"choices": [], "usage": USAGE})
        if step != "endless":
            await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    log.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield log
    finally:
        await runner.cleanup()


async def _hang(response: web.StreamResponse, log: ModelLog) -> None:
    """Until the client has gone: comments are sent, because only a write that fails tells."""
    log.open += 1
    try:
        with suppress(ConnectionError):
            while True:
                await response.write(b": still here\n\n")
                await asyncio.sleep(0.05)
    finally:
        log.open -= 1


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b": a comment\n\n")
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
