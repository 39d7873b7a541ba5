"""Streams: how many there may be, and that one which cannot go on breaks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from starlette.types import Message

from serving.errors import StreamBrokenError, TooManyStreamsError
from serving.media_types import AWAY_HEADER, AnswerForm
from serving.planner import Tier
from serving.streams import MAX_STREAMS, StreamedAnswer, StreamedPart, StreamSlots, streamed

NOBODY: frozenset[Tier] = frozenset()
SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


async def never() -> Message:
    """A client that says nothing more."""
    return await asyncio.Future()


async def parts(*told: StreamedPart | Exception) -> AsyncGenerator[StreamedPart, None]:
    for part in told:
        if isinstance(part, Exception):
            raise part
        yield part


async def sent(answer: StreamedAnswer) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await answer(SCOPE, never, send)
    return messages


async def test_all_parts_are_sent_and_the_tiers_that_are_away_stand_in_the_head() -> None:
    away = frozenset({Tier.WARM, Tier.HOT})
    answer = await streamed(parts(StreamedPart(b"a", away), StreamedPart(b"b", away)), AnswerForm.CSV, StreamSlots())
    begin, *rest = await sent(answer)
    assert dict(begin["headers"])[AWAY_HEADER.lower().encode()] == b"hot, warm"
    assert [(message["body"], message["more_body"]) for message in rest] == [(b"a", True), (b"b", True), (b"", False)]


@pytest.mark.parametrize("failing", [StreamedPart(b"b", frozenset({Tier.COLD})), OSError()])
async def test_what_fails_later_breaks_the_stream_before_its_end(failing: StreamedPart | Exception) -> None:
    slots = StreamSlots()
    for _ in range(2 * MAX_STREAMS):  # a place is given back each time
        answer = await streamed(parts(StreamedPart(b"a", NOBODY), failing), AnswerForm.CSV, slots)
        with pytest.raises((StreamBrokenError, OSError, ExceptionGroup)):
            await sent(answer)


async def test_what_fails_at_first_is_raised_and_takes_no_place() -> None:
    slots = StreamSlots()
    for _ in range(2 * MAX_STREAMS):
        with pytest.raises(ValueError, match="first"):
            await streamed(parts(ValueError("first")), AnswerForm.CSV, slots)


async def test_one_more_stream_than_there_may_be_is_refused_until_another_ends() -> None:
    slots = StreamSlots()
    answers = [await streamed(parts(StreamedPart(b"a", NOBODY)), AnswerForm.CSV, slots) for _ in range(MAX_STREAMS)]
    with pytest.raises(TooManyStreamsError):
        await streamed(parts(StreamedPart(b"a", NOBODY)), AnswerForm.CSV, slots)
    await sent(answers[0])
    await streamed(parts(StreamedPart(b"a", NOBODY)), AnswerForm.CSV, slots)


async def test_a_reader_that_goes_gives_its_place_back() -> None:
    slots = StreamSlots()

    async def gone(message: Message) -> None:
        raise OSError(message)

    for _ in range(2 * MAX_STREAMS):
        answer = await streamed(parts(StreamedPart(b"a", NOBODY)), AnswerForm.CSV, slots)
        with suppress(OSError, ExceptionGroup):
            await answer(SCOPE, never, gone)
