"""Partitions taken over: what is asked, before `sinks.start` decides."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from runtime.errors import UnavailableError
from runtime.kafka import Subscription, TopicPartition
from sinks.identity import Identities
from sinks.partition import Partition
from sinks.start import SinkStartFacts, start_by_group, start_by_store

HOT_MS = 60 * 60_000
"""A store that keeps its own positions and has none is filled with the trades of the last hour, and all else."""


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

    An offset that does not say yet what it speaks of is committed again, as it is, with the first commit.
    """
    tps = list(tps)
    missing = {tp.topic for tp in tps} - identities.topics.keys()
    if missing:
        raise UnavailableError(f"the topic {min(missing)} is not there: run candlewick topics apply")
    offsets = await subscription.committed_offsets(tps)

    async def one(tp: TopicPartition) -> Partition:
        committed, now = offsets.get(tp), identities.metadata(tp.topic)
        beginning, end = await asyncio.gather(subscription.beginning(tp), subscription.end(tp))
        found = SinkStartFacts(
            group=subscription.group,
            name=f"{tp.topic}/{tp.partition}",
            committed=committed,
            beginning=beginning,
            end=end,
            now=now,
        )
        if positions is None:
            start = start_by_group(found, accept_truncation=accept_truncation)
        else:
            recent = beginning
            if tp not in positions and tp.topic in recent_only:
                at = await subscription.offset_at(tp, time.time_ns() // 1_000_000 - HOT_MS)
                recent = end if at is None else at
            start = start_by_store(found, stored=positions.get(tp), recent=recent)
        subscription.seek(tp, start)
        told = committed is not None and committed.metadata == now
        return Partition(tp, position=start, committed=committed.offset if committed and told else None, end=end)

    return list(await asyncio.gather(*(one(tp) for tp in tps)))
