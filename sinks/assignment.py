"""Partitions taken over: asks Kafka for the facts by which `sinks.start` decides where to go on."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from runtime.errors import UnavailableError
from runtime.kafka import Subscription, TopicPartition
from sinks.identity import Identities
from sinks.partition import Partition
from sinks.start import SinkStartFacts, start_by_group, start_by_store

HOT_MS = 60 * 60_000
"""A store that keeps its own positions but has none yet gets the last hour of trades, and all other records."""


async def assign(
    subscription: Subscription,
    tps: Iterable[TopicPartition],
    *,
    positions: Mapping[TopicPartition, int] | None,
    identities: Identities,
    recent_only: frozenset[str],
    accept_truncation: bool,
) -> list[Partition]:
    """Decide where each partition goes on, and seek there. `positions` are the store's own, or None.

    A committed offset without today's identities in its metadata is committed again, with them, at the first commit.
    Raises `UnavailableError` if a topic is missing, and `SinkStartError` if a person has to decide.
    """
    tps = list(tps)
    missing = {tp.topic for tp in tps} - identities.topics.keys()
    if missing:
        raise UnavailableError(f"the topic {min(missing)} is not there: run candlewick topics apply")
    offsets = await subscription.committed_offsets(tps)

    async def assign_one(tp: TopicPartition) -> Partition:
        committed, now = offsets.get(tp), identities.metadata(tp.topic)
        beginning, end = await asyncio.gather(subscription.beginning(tp), subscription.end(tp))
        facts = SinkStartFacts(
            group=subscription.group,
            name=f"{tp.topic}/{tp.partition}",
            committed=committed,
            beginning=beginning,
            end=end,
            now=now,
        )
        if positions is None:
            start = start_by_group(facts, accept_truncation=accept_truncation)
        else:
            recent = beginning
            if tp not in positions and tp.topic in recent_only:
                offset = await subscription.offset_at(tp, time.time_ns() // 1_000_000 - HOT_MS)
                recent = end if offset is None else offset
            start = start_by_store(facts, stored=positions.get(tp), recent=recent)
        subscription.seek(tp, start)
        is_current = committed is not None and committed.metadata == now
        return Partition(tp, position=start, committed=committed.offset if committed and is_current else None, end=end)

    return list(await asyncio.gather(*map(assign_one, tps)))
