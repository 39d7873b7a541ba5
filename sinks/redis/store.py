"""Writing to Redis: in each round one script call for each partition, which also writes the partition's position."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from market.records import BareRecord
from market.timeframe import Timeframe
from runtime.kafka import TopicPartition
from runtime.settings import Settings, redis_address
from runtime.telemetry import logger
from sinks.encoded import Encoded
from sinks.redis.connect import connect, redis_errors
from sinks.redis.encode import CANDLES, LIVE, TICKERS, TRADES, HotKind, arrange, encode
from sinks.redis.keys import POSITIONS_TTL_S, positions_key
from sinks.store import Batch, MovedError, Pace, PaceLimit


class RedisStore:
    """The hot store of `sinks.store.Store`.

    A killed Redis may have lost writes that it acknowledged, and Kafka's offsets would skip them. So each partition's
    position is written together with its data, and each batch names the position that it goes on from. If Redis
    holds another position, reading goes on from the one in Redis. A Redis without positions is filled anew: candles and
    tickers from the beginning of their topics, trades of the last hour.
    """

    name = "redis"
    pace = Pace(PaceLimit(10_000, 16 << 20, 0.25), behind=PaceLimit(50_000, 32 << 20, 1.0))

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._url = redis_address(settings)
        self._prefix = settings.prefix
        self._partitions = settings.partitions
        self._kinds: dict[str, HotKind] = {
            topics.trades: TRADES,
            topics.live: LIVE,
            topics.tickers: TICKERS,
            **{topics.candles(timeframe): CANDLES for timeframe in Timeframe},
        }
        self.topics = tuple(self._kinds)
        self.recent_only = frozenset({topics.trades})
        self._client: Redis | None = None
        self._script = files("sinks.redis").joinpath("write.lua").read_bytes()
        self._sha = ""
        self._positions: dict[TopicPartition, str] = {}
        """The positions as they stand in Redis; an empty text if there is none."""
        self._topic_ids: dict[str, str | None] = {}
        self._log = logger("sink.redis")

    async def open(self) -> None:
        """Connect and load the script."""
        await self.close()
        self._client = connect(self._url)
        await self._load()

    async def identities(self) -> Mapping[str, str | None]:
        """No identities are needed: Redis holds its own positions."""
        return {}

    async def positions(
        self, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]
    ) -> Mapping[TopicPartition, int] | None:
        """Where the data in Redis ends. If a topic has another id now, its partitions have none: they are filled anew.

        A position without an id (of an earlier version) is taken as it is.
        """
        asked = list(tps)
        if not asked:
            return {}
        with redis_errors(self._url):
            values = await self._opened.hmget(positions_key(self._prefix), [_field(tp) for tp in asked])
        positions: dict[TopicPartition, int] = {}
        for tp, value in zip(asked, cast("list[bytes | None]", values), strict=True):
            self._topic_ids[tp.topic] = now = topic_ids.get(tp.topic)
            self._positions[tp] = "" if value is None else value.decode()
            offset, _, was = self._positions[tp].partition("@")
            if was and now and was != now:
                self._log.warning("the topic was made anew: it is read from its beginning", partition=_field(tp))
            elif offset.isdecimal():
                positions[tp] = int(offset)
        return positions

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As writes of the script."""
        return encode(self._kinds[tp.topic], self._prefix, tp.partition, records, self._partitions)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write each batch with its position; `MovedError` if Redis holds another position than we left there."""
        with redis_errors(self._url):
            try:
                answers = await self._call(batches)
            except NoScriptError:  # Redis was restarted since
                await self._load()
                answers = await self._call(batches)
        lost = [batch.tp for batch, answer in zip(batches, answers, strict=True) if answer is None]
        for batch in batches:
            self._positions[batch.tp] = self._position(batch)
        if lost:
            raise MovedError(", ".join(map(_field, lost)))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    @property
    def _opened(self) -> Redis:
        assert self._client is not None  # noqa: S101  # a store is opened before it is asked or written to
        return self._client

    async def _load(self) -> None:
        with redis_errors(self._url):
            self._sha = await self._opened.script_load(self._script)

    async def _call(self, batches: Sequence[Batch]) -> list[Any]:
        pipeline = self._opened.pipeline(transaction=False)
        for batch in batches:
            keys, arguments = self._arguments(batch)
            pipeline.evalsha(self._sha, len(keys), *keys, *arguments)
        return await pipeline.execute()

    def _arguments(self, batch: Batch) -> tuple[list[str], list[Any]]:
        place: dict[str, int] = {positions_key(self._prefix): 1}
        before = self._positions.get(batch.tp, "")
        arguments: list[Any] = [_field(batch.tp), before, self._position(batch), POSITIONS_TTL_S]
        writes = batch.chunk or []
        arguments += arrange(writes, lambda key: place.setdefault(key, len(place) + 1))
        return list(place), arguments

    def _position(self, batch: Batch) -> str:
        """Where reading goes on after the batch, and in which topic: in another topic the offset means nothing."""
        topic_id = self._topic_ids.get(batch.tp.topic)
        return f"{batch.next}@{topic_id}" if topic_id else f"{batch.next}"


def _field(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
