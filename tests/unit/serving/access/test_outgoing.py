"""How much of large answers is on its way, and for whom there is room."""

import asyncio

import pytest

from serving.access import outgoing
from serving.access.keys import RateTier
from serving.access.outgoing import PART_BYTES, OutgoingBytes, is_large, send_in_parts
from serving.access.refusal import RequestRefusedError


def test_each_tier_leaves_room_for_those_above_it() -> None:
    bytes_ = OutgoingBytes(most_bytes=100)
    bytes_.take(RateTier.FREE, 50)
    for tier, more in ((RateTier.FREE, 1), (RateTier.PRO, 26), (RateTier.ENTERPRISE, 51)):
        with pytest.raises(RequestRefusedError) as refused:
            bytes_.take(tier, more)
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    bytes_.take(RateTier.PRO, 25)
    bytes_.take(RateTier.ENTERPRISE, 25)
    bytes_.give_back(50)
    bytes_.give_back(25)
    bytes_.take(RateTier.FREE, 25)
    assert bytes_.size_bytes == 50


def test_one_answer_alone_may_be_larger_than_all_may_be() -> None:
    bytes_ = OutgoingBytes(most_bytes=100)
    bytes_.take(RateTier.FREE, 1000)
    assert bytes_.size_bytes == 1000


async def test_parts_are_the_body_and_the_last_one_says_so() -> None:
    body, sent = bytes(range(256)) * (PART_BYTES // 100), []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await send_in_parts(send, body)  # type: ignore[arg-type]
    assert b"".join(message["body"] for message in sent) == body  # type: ignore[misc]
    assert max(len(message["body"]) for message in sent) == PART_BYTES  # type: ignore[arg-type]
    assert [message["more_body"] for message in sent] == [True] * (len(sent) - 1) + [False]


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "ANSWER_S", 0.01)
    monkeypatch.setattr(outgoing, "SLOWEST_BYTES_S", 1 << 40)

    async def send(message: object) -> None:  # noqa: ARG001  # as ASGI calls it
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await send_in_parts(send, b"x")


def test_only_a_whole_body_is_a_large_one() -> None:
    body = b"x" * (outgoing.LARGE_BYTES + 1)
    assert is_large({"type": "http.response.body", "body": body})
    assert not is_large({"type": "http.response.body", "body": body[1:]})
    assert not is_large({"type": "http.response.body", "body": body, "more_body": True})
