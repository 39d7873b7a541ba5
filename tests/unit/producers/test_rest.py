"""The REST client against a server that says no in the ways an exchange does."""

import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from producers.exchange import RestLimits, RestRequest
from producers.feed import rest
from producers.feed.rest import ATTEMPTS, RateLimitedError, RefusedError, RestClient
from runtime.errors import UnavailableError

LIMITS = RestLimits(weight=6000, per_s=60.0, used_weight_header="X-Used", too_much={429: 10.0, 418: 120.0})
Answers = list[web.Response]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., object]]:
    """A client of a server that gives these answers in order; the asked paths are kept."""
    servers: list[TestServer] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(*answers: tuple[int, dict[str, str]]) -> tuple[RestClient, list[str]]:
        left, asked = list(answers), []

        async def handle(request: web.Request) -> web.Response:
            asked.append(request.path_qs)
            status, headers = left.pop(0)
            return web.Response(status=status, headers=headers, text="body")

        app = web.Application()
        app.router.add_get("/{path:.*}", handle)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        sessions.append(aiohttp.ClientSession())
        return RestClient(sessions[-1], str(servers[-1].make_url("")).rstrip("/"), LIMITS), asked

    yield start
    for session in sessions:
        await session.close()
    for server in servers:
        await server.close()


async def test_what_is_asked_is_answered_and_weighed(serve: Callable) -> None:
    client, asked = await serve((200, {"X-Used": "70"}))
    assert await client.get(RestRequest("/a?b=1", 25)) == b"body"
    assert asked == ["/a?b=1"]
    assert client.weights.used == 70, "the exchange counted more than this client"


async def test_told_to_wait_it_waits_and_asks_again(serve: Callable) -> None:
    client, asked = await serve((429, {"Retry-After": "1"}), (200, {}))
    began = time.monotonic()
    assert await client.get(RestRequest("/", 1)) == b"body"
    assert time.monotonic() - began >= 1.0
    assert len(asked) == 2


async def test_banned_for_long_it_does_not_even_ask(serve: Callable) -> None:
    client, asked = await serve((418, {"Retry-After": "3600"}))
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await client.get(RestRequest("/", 1))
    assert len(asked) == 1


async def test_a_server_that_fails_is_asked_a_few_times(serve: Callable) -> None:
    client, asked = await serve(*[(500, {})] * ATTEMPTS)
    with pytest.raises(UnavailableError):
        await client.get(RestRequest("/", 1))
    assert len(asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "answered 400 to /, it refuses the request"),
        (401, "answered 401 to /, it wants a key for this request"),
        (403, "answered 403 to /, it does not serve this address"),
        (404, "answered 404 to /, there is nothing at this address"),
    ],
)
async def test_a_refusal_is_told_for_what_it_is_and_not_asked_again(serve: Callable, status: int, says: str) -> None:
    client, asked = await serve((status, {}))
    with pytest.raises(RefusedError, match=says):
        await client.get(RestRequest("/", 1))
    assert len(asked) == 1


async def test_an_answer_without_end_is_refused(serve: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LONGEST_BODY_BYTES", 3)
    client, _ = await serve((200, {}))
    with pytest.raises(RefusedError, match="answers with more than"):
        await client.get(RestRequest("/", 1))


async def test_a_text_can_say_that_we_asked_too_much(serve: Callable) -> None:
    client, asked = await serve((200, {}))
    client._limits = LIMITS._replace(too_much={429: 0.0}, too_much_words=(b"body",))
    with pytest.raises(RateLimitedError):
        await client._get(RestRequest("/", 1))  # without the attempts
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (429, "answered 429, it was asked too much: wait 70 s"),
        (418, "answered 418, it has banned this address for asking too much: wait 70 s"),
        (503, "answered 503, it is in maintenance or overloaded"),
        (500, "answered 500, it fails on its own side"),
    ],
)
async def test_what_will_pass_is_told_for_what_it_is(serve: Callable, status: int, says: str) -> None:
    client, _ = await serve(*[(status, {"Retry-After": "70"})] * ATTEMPTS)
    with pytest.raises(UnavailableError, match=says):
        await client.get(RestRequest("/", 1))
