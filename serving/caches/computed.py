"""Computed answers: a question is asked of the tiers once, however many ask it, and its answer is kept while it counts.

An answer is given again while nothing more is written of its market (`sinks.redis.answers`):

- younger than `FRESH_S`: as it stands;
- older, up to `MOST_S`: as it stands too, and meanwhile one process makes it anew;
- else, or when more was written: one process makes it, all others wait for that.

Redis is asked about a question at most every `LOOK_S`. While Redis is away nothing is kept, and those who ask this
process at the same time share one answer. Kept are good answers, and that there is no such market; an answer that
names a tier as away is not.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market.topics import Topics
from runtime.telemetry import logger
from serving.caches.memory import AnswerMemory, OwnCopy
from serving.caches.questions import KeptQuestion, read_kept
from serving.caches.shared import LOCK_S, SharedAnswers, UnsharedError, read_answer
from serving.kept import AnswerHeader, KeptAnswer, send_kept, tagged
from sinks.redis.answers import NO_AGE, AnswerState, OwnAnswer

LOOK_S = 0.25
"""So much later than Redis this process knows that more was written."""
MOST_REFRESHED = 32
"""Answers that are made anew at a time while the old ones are given: nobody waits, so nothing else bounds these."""
_POLL_S = 0.025
_KEPT_STATUSES = {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
_AWAY = b'"away":["'
"""In an answer's `source`: a tier was away."""

Made = tuple[KeptAnswer, bool]
"""An answer, and whether it is to be kept."""


class AnswerOrigin(StrEnum):
    """Where an answer came from; the label of the metric."""

    MEMORY = "memory"
    REDIS = "redis"
    TIERS = "tiers"
    OTHERS = "others"
    """It was on its way already."""


_answers = Counter("candlewick_computed_answers", "Answers to questions whose answers are kept, by origin", ["origin"])
_counts = {origin: _answers.labels(origin.value) for origin in AnswerOrigin}


class ComputedAnswers:
    """An ASGI application in front of another, whose answers it keeps; close it."""

    def __init__(self, app: ASGIApp, shared: SharedAnswers, topics: Topics) -> None:
        self._app = app
        self._shared = shared
        self._topics = topics
        self._memory = AnswerMemory()
        self._asked: dict[str, asyncio.Task[KeptAnswer]] = {}
        self._refreshed: dict[str, asyncio.Task[KeptAnswer]] = {}
        self._log = logger("serve")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        question = self._read(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if question is None:
            await self._app(scope, receive, send)
        else:
            await send_kept(scope, send, await self._answer(question, scope))

    async def close(self) -> None:
        """End what is on its way."""
        tasks = {*self._asked.values(), *self._refreshed.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._shared.close()

    def _read(self, scope: Scope) -> KeptQuestion | None:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), None)
        return read_kept(scope["path"], scope["query_string"], accept, self._topics)

    async def _answer(self, question: KeptQuestion, scope: Scope) -> KeptAnswer:
        own = self._memory.get(question.name)
        if own is not None and time.monotonic() < own.looked_s + LOOK_S:
            _counts[AnswerOrigin.MEMORY].inc()
            return own.answer
        asked = self._asked.get(question.name)
        if asked is None:
            asked = _begun(self._asked, question.name, self._look(question, scope))
        else:
            _counts[AnswerOrigin.OTHERS].inc()
        return await asyncio.shield(asked)

    async def _look(self, question: KeptQuestion, scope: Scope) -> KeptAnswer:
        """What Redis or this process has; else made here, or waited for where another process makes it."""
        patience_s = time.monotonic() + LOCK_S
        while True:
            own, looked_s = self._memory.get(question.name), time.monotonic()
            try:
                state = await self._shared.ask(question, own)
            except UnsharedError:
                return (await self._make(scope))[0]
            if state.age_ms != NO_AGE:
                if state.must_make:
                    self._refresh(question, scope, state, looked_s)
                return self._remember(question, own, state, looked_s)
            if state.must_make:
                return await self._make_and_keep(question, scope, state, looked_s)
            if looked_s > patience_s:
                return (await self._make(scope))[0]
            await asyncio.sleep(_POLL_S)

    def _remember(self, question: KeptQuestion, own: OwnCopy | None, state: AnswerState, looked_s: float) -> KeptAnswer:
        """The answer that still counts, kept here from now on."""
        if own is not None and not state.head:
            _counts[AnswerOrigin.MEMORY].inc()
            copy = own._replace(looked_s=looked_s)
        else:
            _counts[AnswerOrigin.REDIS].inc()
            made_ms = str(int(state.now_ms) - state.age_ms)
            copy = OwnCopy(read_answer(state), state.position, made_ms, looked_s)
        self._memory.put(question.name, copy)
        return copy.answer

    def _refresh(self, question: KeptQuestion, scope: Scope, state: AnswerState, looked_s: float) -> None:
        """Have it made anew, while the old one is given. If too many are, the lock's end lets another try."""
        if question.name in self._refreshed or len(self._refreshed) >= MOST_REFRESHED:
            return
        making = self._make_and_keep(question, scope, state, looked_s)
        _begun(self._refreshed, question.name, making).add_done_callback(self._note_failure)

    async def _make_and_keep(
        self, question: KeptQuestion, scope: Scope, state: AnswerState, looked_s: float
    ) -> KeptAnswer:
        """The answer counts from when it was asked for: what was written since may not be in it."""
        is_kept = False
        try:
            answer, is_kept = await self._make(scope)
        finally:
            if not is_kept:
                with suppress(UnsharedError):  # then the lock ends by itself
                    await self._shared.give_up(question)
        if is_kept:
            made = OwnAnswer(state.position, state.now_ms)
            self._memory.put(question.name, OwnCopy(answer, *made, looked_s))
            with suppress(UnsharedError):  # this process has it
                await self._shared.keep(question, answer, made)
        return answer

    async def _make(self, scope: Scope) -> Made:
        """What the application answers. Raises what it does, if it has not answered."""
        _counts[AnswerOrigin.TIERS].inc()
        taken = _TakenAnswer()
        try:
            await self._app(dict(scope), taken.receive, taken.send)
        except Exception:
            if not taken.is_whole:
                raise
            # the application has logged it and answered that it is a defect
        return taken.made()

    def _note_failure(self, task: "asyncio.Task[KeptAnswer]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("an answer could not be made anew", reason=str(error))


class _TakenAnswer:
    """Takes the place of a client."""

    def __init__(self) -> None:
        self.is_whole = False
        self._status = 0
        self._headers: list[AnswerHeader] = []
        self._parts: list[bytes] = []
        self._is_asked = False

    async def receive(self) -> Message:
        """A request without a body, whose client stays."""
        if self._is_asked:
            await asyncio.get_running_loop().create_future()
        self._is_asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
        else:
            self._parts.append(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)

    def made(self) -> Made:
        """The answer."""
        body = b"".join(self._parts)
        is_kept = self._status in _KEPT_STATUSES and _AWAY not in body
        if is_kept and self._status == HTTPStatus.OK:
            return tagged(body, self._headers), True
        return KeptAnswer(body, b"", self._status, tuple(self._headers)), is_kept


def _begun(
    tasks: dict[str, "asyncio.Task[KeptAnswer]"], name: str, work: Coroutine[Any, Any, KeptAnswer]
) -> "asyncio.Task[KeptAnswer]":
    """A task that stands under the name until it is done."""
    task = tasks[name] = asyncio.create_task(work)

    def forget(done: "asyncio.Task[KeptAnswer]") -> None:
        del tasks[name]
        if not done.cancelled():
            done.exception()  # those who wait have it; if all of them left, nobody would have

    task.add_done_callback(forget)
    return task
