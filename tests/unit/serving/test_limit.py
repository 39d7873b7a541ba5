"""How many requests are at work at a time."""

import asyncio

from eventually import eventually
from starlette.types import Receive, Scope, Send

from serving.server import limited


async def test_no_more_requests_are_at_work_than_there_may_be_and_all_are_answered() -> None:
    at_work: list[int] = []
    answered: list[int] = []
    go_on = asyncio.Event()

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        at_work.append(scope["number"])
        await go_on.wait()
        answered.append(scope["number"])

    async def nothing(*_: object) -> None:
        raise AssertionError

    serve = limited(app, 2)
    asked = asyncio.gather(*(serve({"number": number}, nothing, nothing) for number in range(5)))
    await eventually(lambda: len(at_work) == 2)
    await asyncio.sleep(0)
    assert at_work == [0, 1]
    go_on.set()
    await asked
    assert answered == [0, 1, 2, 3, 4]
