"""How much a request may send, and how long its answer may take."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.access.limits import MOST_BODY_BYTES, limited
from serving.access.refusal import RequestRefusedError

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def sending(parts: Iterable[bytes]) -> Receive:
    left = list(parts)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": (await receive())["body"]})


async def test_a_body_comes_whole_up_to_the_limit_however_it_is_sent() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    half = b"x" * (MOST_BODY_BYTES // 2)
    await limited(echo)({"type": "http", "method": "POST"}, sending([half, half]), send)
    assert sent[1]["body"] == half + half
    sent.clear()
    with pytest.raises(RequestRefusedError) as refused:
        await limited(echo)({"type": "http", "method": "POST"}, sending([half, half, b"x"]), send)
    assert (refused.value.status, sent) == (413, [])


async def test_an_answer_has_to_begin_and_each_part_to_be_taken_in_time() -> None:
    async def slow(_: Scope, __: Receive, send: Send) -> None:
        for part in range(6):
            await asyncio.sleep(0.05)
            await send(START if part == 0 else {"type": "http.response.body"})

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    async def takes(_: Message) -> None: ...

    async def takes_no_more(message: Message) -> None:
        if message is not START:
            await asyncio.sleep(60)

    get = {"type": "http", "method": "GET"}
    await limited(slow, answer_s=0.2)(get, sending([]), takes)  # longer in all, but it goes on
    with pytest.raises(RequestRefusedError) as refused:
        await limited(never, answer_s=0.1)(get, sending([]), takes)
    assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    with pytest.raises(TimeoutError):
        await limited(slow, answer_s=0.2)(get, sending([]), takes_no_more)
