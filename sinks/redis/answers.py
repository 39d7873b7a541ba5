"""Answers that were computed of a market's records, kept for all processes of the API; and who makes one anew.

An answer holds as long as nothing more is written of the market: the positions beside its data say so
(`sinks.redis.positions`). They move with every record of it, also with one that is too old to be kept here.
"""

from typing import NamedTuple

from sinks.redis.calls import Call
from sinks.redis.connect import HotClient
from sinks.redis.keys import answer_key, written_key
from sinks.redis.scripts import Script

_ASK = Script("ask_answer.lua")
_KEEP = Script("keep_answer.lua")
NO_AGE = -1


class AnswerPlace(NamedTuple):
    """Where an answer is kept: of which tag (a market, or an exchange), under which name, and what it depends on."""

    tag: str
    name: str
    partitions: tuple[str, ...]
    """``TOPIC/PARTITION`` of every record that it may be made of."""


class AnswerTimes(NamedTuple):
    """How long answers and their makers' locks hold, in milliseconds."""

    fresh_ms: int
    """A younger answer need not be made anew."""
    most_ms: int
    """An older one is never given."""
    lock_ms: int


class OwnAnswer(NamedTuple):
    """What the asking process has: up to where it goes, and when it was asked for by Redis' clock."""

    position: str = ""
    made_ms: str = ""


class AnswerState(NamedTuple):
    """What Redis says of an answer."""

    position: str
    """Up to where the records go now."""
    age_ms: int
    """Of the answer to give; `NO_AGE` where there is none."""
    must_make: bool
    """Whether the process that asked has to make it anew, and nobody else does."""
    head: bytes
    body: bytes
    """Both empty where the process has the answer itself."""
    now_ms: str
    """Redis' clock."""


async def ask_answer(
    client: HotClient, prefix: str, place: AnswerPlace, *, maker: str, times: AnswerTimes, own: OwnAnswer
) -> AnswerState:
    """Look for an answer; one call. Raises what the client raises."""
    key, lock = _keys(prefix, place)
    arguments = (maker, times.lock_ms, times.fresh_ms, times.most_ms, *own, *place.partitions)
    (said,) = await _ASK.call(client, [Call((written_key(prefix, place.tag), key, lock), arguments)])
    position, age_ms, must_make, head, body, now_ms = said
    return AnswerState(position.decode(), int(age_ms), bool(must_make), head, body, now_ms.decode())


async def keep_answer(
    client: HotClient,
    prefix: str,
    place: AnswerPlace,
    *,
    maker: str,
    made: OwnAnswer,
    head: bytes,
    body: bytes,
    for_ms: int,
) -> None:
    """Keep an answer that `maker` had to make, and let others make it from now on. Raises what the client raises."""
    await _KEEP.call(client, [Call(_keys(prefix, place), (maker, for_ms, *made, head, body))])


async def give_up_answer(client: HotClient, prefix: str, place: AnswerPlace, *, maker: str) -> None:
    """Let others make it: this process could not, or what it made is not to be kept. Raises what the client raises."""
    await _KEEP.call(client, [Call(_keys(prefix, place), (maker, 0))])


def _keys(prefix: str, place: AnswerPlace) -> tuple[str, str]:
    key = answer_key(prefix, place.tag, place.name)
    return key, f"{key}:making"
