"""The form of OpenAI's chat completions, as many servers speak it: a question, and the stream of its answer. Pure.

The answer is a stream of server-sent events: lines ``data: {…}`` with a piece of text in ``choices[0].delta.content``,
in one of the last ``finish_reason`` and ``usage``, and at the end ``data: [DONE]``.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import Struct

from runtime.backoff import pause_s
from serving.analysis.prompt import Message

MOST_TRIES = 3
MOST_WAITED_S = 20.0
"""In all, between the tries of one question."""
_SHOWN = 200
"""Characters of what a model server says of an error."""


class TokenCount(Struct, frozen=True, kw_only=True):
    """What an answer cost."""

    prompt: int
    answer: int
    is_estimated: bool = False
    """The model server did not tell: four bytes count as a token."""


class CompletionPiece(NamedTuple):
    """What one event adds."""

    text: str = ""
    finish: str | None = None
    """``stop``, or ``length`` where the answer was cut at the most tokens it may have."""
    tokens: TokenCount | None = None
    is_end: bool = False


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Event(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class ModelError(Exception):
    """The model server gave no answer, or no whole one. The sentence is for the caller, and names no key.

    `status` is what the caller is told; `retry_after_s` when it is worth asking again.
    """

    def __init__(self, detail: str, status: HTTPStatus, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after_s = retry_after_s


class RetryPause(NamedTuple):
    """Try again after that time."""

    wait_s: float


def completion_body(model: str, messages: Sequence[Message], answer_tokens: int) -> bytes:
    """The body of ``POST /chat/completions``."""
    return orjson.dumps(
        {
            "model": model,
            "messages": list(messages),
            "max_tokens": answer_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def read_piece(line: bytes) -> CompletionPiece | None:
    """What a line of the stream adds; None: nothing. Raises `ModelError` where it tells an error, or is no event."""
    name, _, value = line.strip().partition(b":")
    if name != b"data":
        return None  # comments that keep the connection, names of events
    if value.strip() == b"[DONE]":
        return CompletionPiece(is_end=True)
    try:
        event = msgspec.json.decode(value, type=_Event)
    except msgspec.DecodeError as error:
        raise ModelError("the model server's stream is not of OpenAI's form", HTTPStatus.BAD_GATEWAY) from error
    if event.error is not None:
        raise ModelError("the model server broke off with an error", HTTPStatus.BAD_GATEWAY)
    choice = event.choices[0] if event.choices else _Choice()
    text = choice.delta.content if choice.delta is not None else None
    tokens = None
    if event.usage is not None:
        tokens = TokenCount(prompt=event.usage.prompt_tokens, answer=event.usage.completion_tokens)
    return CompletionPiece(text or "", choice.finish_reason, tokens)


def next_step(
    status: int | None, told: str, *, retry_after_s: float | None, tries: int, waited_s: float
) -> RetryPause | ModelError:
    """What to do after a try that failed with this status, None: no connection or no answer; `told` is its body.

    ==========================  =====================================================================
    401, 403                    our key is wrong: at once told, and nothing of what the server says of it
    429                         after the time it tells, as long as that is short
    5xx, no connection          after pauses that double
    others                      the question is wrong: told at once, with what the server says
    ==========================  =====================================================================
    """
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        detail = f"the model server does not take our key ({status}): whoever runs the API has to set another"
        return ModelError(detail, HTTPStatus.BAD_GATEWAY)
    is_busy = status == HTTPStatus.TOO_MANY_REQUESTS
    if status is not None and not is_busy and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return ModelError(f"the model server refuses the question ({status}): {told[:_SHOWN]}", HTTPStatus.BAD_GATEWAY)
    wait_s = pause_s(tries - 1) if retry_after_s is None else retry_after_s
    if tries < MOST_TRIES and waited_s + wait_s <= MOST_WAITED_S:
        return RetryPause(wait_s)
    detail = {None: "the model server does not answer", True: "the model server has too much to do (429)"}.get(
        None if status is None else is_busy, f"the model server fails ({status})"
    )
    return ModelError(detail, HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=max(1.0, wait_s))


def estimated_tokens(prompt: Sequence[Message], answer: str) -> TokenCount:
    """Where the server does not tell."""
    asked = sum(len(message["content"].encode()) for message in prompt)
    return TokenCount(prompt=-(-asked // 4), answer=-(-len(answer.encode()) // 4), is_estimated=True)
