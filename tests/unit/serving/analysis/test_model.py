"""How a model server is asked, over the form that such servers speak."""

import time
from http import HTTPStatus

import pytest
import structlog
from model_server import KEY, USAGE, model_serving

from serving.analysis.completion import (
    MOST_TRIES,
    MOST_WAITED_S,
    ModelError,
    RetryPause,
    TokenCount,
    estimated_tokens,
    next_step,
    read_piece,
)
from serving.analysis.model import ModelServer

MESSAGES = [
    {"role": "system", "content": "Write in English."},
    {"role": "user", "content": '{"statistics":{"markets":[1,2]},"question":"why?"}'},
]
REPLY = "2 markets, asked in English: why? "


async def asked(url: str, key: str | None = KEY) -> tuple[str, str | None, TokenCount | None]:
    """The whole answer, why it ended, and its tokens."""
    server = ModelServer(url, "tiny", key, answer_tokens=77)
    text, finish, tokens = "", None, None
    try:
        async for piece in server.answer(MESSAGES):
            text += piece.text
            finish, tokens = piece.finish or finish, piece.tokens or tokens
    finally:
        await server.close()
    return text, finish, tokens


async def test_the_answer_comes_in_pieces_with_its_cost() -> None:
    async with model_serving() as log:
        answer = await asked(log.url)
    assert answer == (REPLY, "stop", TokenCount(prompt=USAGE["prompt_tokens"], answer=USAGE["completion_tokens"]))
    assert log.keys == [f"Bearer {KEY}"]
    assert (log.asked[0]["model"], log.asked[0]["max_tokens"], log.asked[0]["messages"]) == ("tiny", 77, MESSAGES)


async def test_a_server_without_keys_is_sent_none_and_tokens_that_are_not_told_are_estimated() -> None:
    async with model_serving(["no-usage"]) as log:
        text, _, tokens = await asked(log.url, key=None)
    assert (log.keys, tokens) == ([None], None)
    assert estimated_tokens(MESSAGES, text) == TokenCount(prompt=17, answer=9, is_estimated=True)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_failing_server_is_asked_again(status: int) -> None:
    async with model_serving([status]) as log:
        assert (await asked(log.url))[0] == REPLY
    assert len(log.asked) == 2


async def test_a_busy_server_is_asked_again_when_it_says() -> None:
    async with model_serving([429], retry_after_s=1) as log:
        began_s = time.monotonic()
        assert (await asked(log.url))[0] == REPLY
    assert time.monotonic() - began_s >= 1


@pytest.mark.parametrize(
    ("script", "retry_after_s", "tries", "status", "sentence"),
    [
        ([401], None, 1, 502, "does not take our key (401)"),
        ([403], None, 1, 502, "does not take our key (403)"),
        ([404], None, 1, 502, "refuses the question (404)"),
        ([429], 600, 1, 503, "too much to do"),
        ([500] * MOST_TRIES, 0, MOST_TRIES, 503, "fails (500)"),
        (["cut"], None, 1, 502, "broke off"),
        (["endless"], None, 1, 502, "has no end"),
    ],
)
async def test_what_does_not_pass_is_told_and_the_key_is_not(
    script: list[int | str], retry_after_s: int | None, tries: int, status: int, sentence: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with model_serving(script, retry_after_s=retry_after_s) as log:
            with pytest.raises(ModelError) as raised:
                await asked(log.url)
    assert (len(log.asked), raised.value.status) == (tries, status)
    assert sentence in str(raised.value)
    assert KEY not in f"{raised.value!r} {lines}"


async def test_nobody_there_is_told_after_some_tries() -> None:
    with pytest.raises(ModelError, match="does not answer") as raised:
        await asked("http://127.0.0.1:1/v1")
    assert raised.value.status == HTTPStatus.SERVICE_UNAVAILABLE


def test_tries_and_pauses_are_bounded() -> None:
    for status in (None, 429, 500):
        tries, waited_s = 1, 0.0
        while isinstance(step := next_step(status, "", retry_after_s=None, tries=tries, waited_s=waited_s), RetryPause):
            tries, waited_s = tries + 1, waited_s + step.wait_s
        assert (tries, waited_s) <= (MOST_TRIES, MOST_WAITED_S)
        assert step.retry_after_s is not None
    assert isinstance(next_step(429, "", retry_after_s=MOST_WAITED_S + 1, tries=1, waited_s=0), ModelError)


@pytest.mark.parametrize("line", [b"", b": keep-alive", b"event: message", b"id: 7"])
def test_lines_that_say_nothing_add_nothing(line: bytes) -> None:
    assert read_piece(line) is None


@pytest.mark.parametrize("line", [b"data: no JSON", b"data: [1]", b'data: {"error":{"message":"x"}}'])
def test_a_stream_of_another_form_is_no_answer(line: bytes) -> None:
    with pytest.raises(ModelError):
        read_piece(line)
