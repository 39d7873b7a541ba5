"""What is wrong, in sentences: transactions that hide records, stores that hold less than the offsets say."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from candlewick.health.lag import inputs
from runtime.errors import CandlewickError
from runtime.kafka import HELD_BACK_S, Committed, all_open_transactions
from runtime.kafka.admin import committed_offsets, topic_ids
from runtime.settings import Settings
from sinks.store import Store

_STORE_S = 5.0
"""A store that does not answer within this time is not waited for."""


async def held_back(settings: Settings) -> list[str]:
    """Transactions that have been open in an input topic for longer than ours ever are."""
    transactions = await all_open_transactions(settings, [*_all_inputs(settings), settings.topics.progress])
    before_ms = (time.time() - HELD_BACK_S) * 1000
    return [str(open_) for open_ in transactions if open_.since_ms is None or open_.since_ms < before_ms]


async def stale_offsets(settings: Settings) -> list[str]:
    """Groups whose offsets belong to a topic or store that was made anew, or to a store that was emptied."""
    ids = await topic_ids(settings, _all_inputs(settings))
    by_stage = await asyncio.gather(
        *(_stale_offsets_of(settings, stage, topics, ids) for stage, topics in inputs(settings.topics).items())
    )
    return [sentence for sentences in by_stage for sentence in sentences]


def _all_inputs(settings: Settings) -> list[str]:
    return sorted({topic for topics in inputs(settings.topics).values() for topic in topics})


async def _stale_offsets_of(
    settings: Settings, stage: str, topics: Iterable[str], ids: Mapping[str, str | None]
) -> list[str]:
    committed = await committed_offsets(settings, settings.topics.group(stage))
    of_topic = {topic: [offset for (name, _), offset in committed.items() if name == topic] for topic in topics}
    sentences = _of_other_topics(stage, of_topic, ids)
    if any(offset.metadata.store_id for offsets in of_topic.values() for offset in offsets):
        sentences += await _of_other_stores(settings, stage, of_topic)
    return sentences


def _of_other_topics(
    stage: str, committed: Mapping[str, Iterable[Committed]], ids: Mapping[str, str | None]
) -> list[str]:
    return [
        f"{stage}: {topic} was made anew since its offsets were committed: candlewick replay {stage} --to earliest"
        for topic, offsets in committed.items()
        if any(offset.metadata.is_of_another_topic(ids.get(topic)) for offset in offsets)
    ]


async def _of_other_stores(settings: Settings, stage: str, committed: Mapping[str, Iterable[Committed]]) -> list[str]:
    try:
        store = _STORES[stage](settings)
        async with asyncio.timeout(_STORE_S):
            identities = await store.identities()
    except TimeoutError:
        return [f"{stage}: its store does not answer, so it can't be checked"]
    except CandlewickError as error:
        return [f"{stage}: its store can't be checked: {error}"]
    return [
        f"{stage}: the store of {topic} was emptied or made anew since its offsets were committed: candlewick replay "
        f"{stage} --to earliest writes again what the log holds"
        for topic, offsets in committed.items()
        if any(offset.metadata.is_of_another_store(identities.get(topic)) for offset in offsets)
    ]


def _clickhouse(settings: Settings) -> Store:
    from sinks.clickhouse.store import ClickHouseStore  # noqa: PLC0415  # the client is loaded where it is asked

    return ClickHouseStore(settings)


def _parquet(settings: Settings) -> Store:
    from sinks.parquet.store import ParquetStore  # noqa: PLC0415

    return ParquetStore(settings)


def _postgres(settings: Settings) -> Store:
    from sinks.postgres.store import PostgresStore  # noqa: PLC0415

    return PostgresStore(settings)


_STORES: dict[str, Callable[[Settings], Store]] = {
    "sink.clickhouse": _clickhouse,
    "sink.parquet": _parquet,
    "sink.postgres": _postgres,
}
