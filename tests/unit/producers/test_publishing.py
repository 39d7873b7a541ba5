"""What a round of the feed sends, and when it has failed."""

from typing import Any, NamedTuple

import pytest
from symbol_world import START_US, World, begun

from market.trade import Marker, Proof
from producers.feed.outbox import Outbox
from producers.feed.publishing import BEHIND_US, Publishing
from runtime.errors import UnavailableError
from runtime.settings import Settings


class _Appended(NamedTuple):
    timestamp: int


class _Kafka:
    """Acknowledges each batch with the time of its clock; keeps the topics that it was sent to."""

    def __init__(self, clock_us: int) -> None:
        self.clock_us = clock_us
        self.topics: list[str] = []

    async def send_batches(self, topic: str, records: list[Any], _partitions: int) -> list[Any]:
        self.topics += [topic] * bool(records)
        return [_Appended(self.clock_us // 1000)] * bool(records)

    async def send_groups(self, topic: str, groups: dict[int, list[Any]]) -> list[Any]:
        return await self.send_batches(topic, [record for group in groups.values() for record in group], 0)

    async def await_acknowledgements(self, sent: list[Any]) -> list[Any]:
        return sent


def outbox_of(world: World) -> Outbox:
    """The round in which the newest trade of the world goes out, and a marker behind it."""
    outbox = Outbox(0.0, 0)
    outbox.trades.append((world.feed, world.trades[-1]))
    marker = Marker(complete_until_us=START_US, published_until_us=START_US, proof=Proof.IDS)
    outbox.markers.append((world.feed, marker))
    return outbox


async def test_what_kafka_stamps_long_before_its_time_fails_the_round_before_its_markers() -> None:
    world = begun()
    settings = Settings()
    for behind_us in (0, BEHIND_US, BEHIND_US + 1_000):
        kafka = _Kafka(START_US - behind_us)
        publishing = Publishing(kafka, settings, "x")  # type: ignore[arg-type]  # as much of a publisher as is needed
        if behind_us <= BEHIND_US:
            assert await publishing.publish(outbox_of(world)) == kafka.clock_us // 1000
            assert kafka.topics == [settings.topics.trades, settings.topics.trades, settings.topics.progress]
        else:
            with pytest.raises(UnavailableError, match="Kafka's clock is 60 s behind"):
                await publishing.publish(outbox_of(world))
            assert kafka.topics == [settings.topics.trades]
