"""What Redis keeps of answers for all processes of the API, and the one place where it turns out to be away."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import orjson

from runtime.errors import CandlewickError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, redis_address
from runtime.telemetry import logger
from serving.caches.memory import OwnCopy
from serving.caches.questions import KeptQuestion
from serving.kept import KeptAnswer, tagged
from sinks.redis.answers import (
    AnswerPlace,
    AnswerState,
    AnswerTimes,
    OwnAnswer,
    ask_answer,
    give_up_answer,
    keep_answer,
)
from sinks.redis.connect import connect, disconnect, redis_errors
from sinks.redis.held import name_of

FRESH_S = 5.0
"""A younger answer is given as it stands; with an older one somebody makes it anew meanwhile."""
MOST_S = 30.0
"""An older one is never given."""
LOCK_S = 5.0
"""Whoever makes an answer has so long until another may try."""
MOST_ANSWER_BYTES = 1024 * 1024
"""A longer answer is kept in this process alone."""
MOST_SHARED_BYTES = 32 * 1024 * 1024
"""Of what this process has put into Redis within `MOST_S`: the hot data need the room."""
_ANSWER_S = 0.25
"""How long Redis may take before it counts as away, and how long it is not asked then."""
_AWAY_S = 1.0
_TIMES = AnswerTimes(fresh_ms=int(FRESH_S * 1000), most_ms=int(MOST_S * 1000), lock_ms=int(LOCK_S * 1000))

Said = TypeVar("Said")


class UnsharedError(CandlewickError):
    """Redis cannot be asked: nobody knows whether an answer still counts."""


class SharedAnswers:
    """Asks Redis; close it. All methods but `close` raise `UnsharedError`."""

    def __init__(self, settings: Settings) -> None:
        self._url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = connect(self._url)
        self._maker = uuid.uuid4().hex
        self._away_until_s = 0.0
        self._is_away = False
        self._put: deque[tuple[float, int]] = deque()
        self._put_bytes = 0
        self._log = logger("serve")

    async def ask(self, question: KeptQuestion, own: OwnCopy | None) -> AnswerState:
        """What counts now, and who makes it anew."""
        known = OwnAnswer() if own is None else OwnAnswer(own.position, own.made_ms)
        return await self._ask(
            lambda: ask_answer(self._client, self._prefix, _place(question), maker=self._maker, times=_TIMES, own=known)
        )

    async def keep(self, question: KeptQuestion, answer: KeptAnswer, made: OwnAnswer) -> None:
        """Keep an answer that had to be made, unless it is too long or there are too many; its lock ends."""
        if len(answer.body) > MOST_ANSWER_BYTES or not self._has_room(len(answer.body)):
            await self.give_up(question)
            return
        await self._ask(
            lambda: keep_answer(
                self._client, self._prefix, _place(question), maker=self._maker, made=made, head=_head(answer),
                body=answer.body, for_ms=_TIMES.most_ms,
            )
        )  # fmt: skip

    async def give_up(self, question: KeptQuestion) -> None:
        """End the lock without an answer."""
        await self._ask(lambda: give_up_answer(self._client, self._prefix, _place(question), maker=self._maker))

    async def close(self) -> None:
        """Close the connections."""
        await disconnect(self._client)

    def _has_room(self, size_bytes: int) -> bool:
        now_s = time.monotonic()
        while self._put and self._put[0][0] < now_s - MOST_S:
            self._put_bytes -= self._put.popleft()[1]
        if self._put_bytes + size_bytes > MOST_SHARED_BYTES:
            return False
        self._put.append((now_s, size_bytes))
        self._put_bytes += size_bytes
        return True

    async def _ask(self, question: Callable[[], Awaitable[Said]]) -> Said:
        if time.monotonic() < self._away_until_s:
            raise UnsharedError("Redis, which says whether answers still count, does not answer")
        try:
            async with asyncio.timeout(_ANSWER_S):
                with redis_errors(self._url):
                    said = await question()
        except (CandlewickError, TimeoutError) as error:
            self._away_until_s = time.monotonic() + _AWAY_S
            if not self._is_away:
                self._log.warning("no answers are kept", reason=str(error) or "Redis does not answer in time")
            self._is_away = True
            raise UnsharedError("Redis, which says whether answers still count, does not answer") from error
        if self._is_away:
            self._log.info("answers are kept again")
        self._is_away = False
        return said


def read_answer(state: AnswerState) -> KeptAnswer:
    """The answer that Redis gave."""
    status, headers = orjson.loads(state.head)
    pairs = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
    return tagged(state.body, pairs) if status == HTTPStatus.OK else KeptAnswer(state.body, b"", status, pairs)


def _head(answer: KeptAnswer) -> bytes:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    return orjson.dumps([answer.status, headers])


def _place(question: KeptQuestion) -> AnswerPlace:
    partitions = tuple(name_of(TopicPartition(topic, partition)) for topic, partition in question.partitions)
    return AnswerPlace(question.tag, question.name, partitions)
