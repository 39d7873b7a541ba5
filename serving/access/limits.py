"""How much a request may send, and how long its answer may take."""

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.refusal import Reason, RequestRefusedError, overloaded

MOST_BODY_BYTES = 64 * 1024
ANSWER_S = 60.0
"""An answer has to begin within this time, and each of its parts to be taken: a reader that stops is given up."""
_RETRY_AFTER_S = 5
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS"}


def limited(app: ASGIApp, *, answer_s: float = ANSWER_S) -> ASGIApp:
    """The application, whose requests are small and whose answers go on.

    It raises `RequestRefusedError`, 413 or 503, as long as no answer has begun, and then `TimeoutError`: the server
    breaks the connection.
    """

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            deadline.reschedule(asyncio.get_running_loop().time() + answer_s)
            await send(message)

        try:
            async with asyncio.timeout(answer_s) as deadline:
                if scope["method"] not in _WITHOUT_BODY:
                    receive = _again(await _read_body(receive), receive)
                await app(scope, receive, sending)
        except TimeoutError:
            if has_begun or not deadline.expired():
                raise
            detail = f"there was no answer within {answer_s:g} s: ask for less"
            raise overloaded(detail, _RETRY_AFTER_S, Reason.TIME) from None

    return answering


async def _read_body(receive: Receive) -> bytes:
    """The whole body. Raises `RequestRefusedError` where it is too large."""
    body, is_whole = b"", False
    while not is_whole:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            detail = f"a request's body may have {MOST_BODY_BYTES:,} bytes"
            raise RequestRefusedError(Reason.SIZE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        is_whole = not message.get("more_body", False)  # the client that has gone sends no more either
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive`, beginning with the body that was read."""
    is_given = False

    async def receiving() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
