"""Writing to Redis: in each round the changes of all batches, and then the partitions' positions."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from market.records import BareRecord
from market.timeframe import Timeframe
from runtime.errors import UnavailableError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, redis_address
from sinks.encoded import Encoded
from sinks.redis.calls import PlacedWrite, joined
from sinks.redis.connect import HotClient, ask_servers, connect, disconnect, redis_errors, takes_any_keys
from sinks.redis.encode import BARS, FUNDING, INSTRUMENTS, LIVE, SIGNALS, TICKERS, HotRecords, candles
from sinks.redis.held import HeldPositions, PositionMove, name_of
from sinks.redis.scripts import Call, Script
from sinks.redis.trades import HotTrades
from sinks.redis.writes import HotTopic, Write
from sinks.store import Batch, MovedError, Pace, PaceLimit

LOOK_INTERVAL_S = 1.0
"""How often to look whether a server was started again."""


class RedisStore:
    """The hot store of `sinks.store.Store`.

    It keeps its own positions (`sinks.redis.positions`): Kafka's offsets would skip what a killed Redis lost. If Redis
    holds other positions than this process left there, and after Redis was away, reading goes on from what Redis holds.
    A Redis without positions is filled anew: trades of the last hour, all else from the beginning of its topics.
    """

    name = "redis"
    pace = Pace(PaceLimit(10_000, 16 << 20, 0.03), behind=PaceLimit(250_000, 64 << 20, 2.0))

    def __init__(self, settings: Settings) -> None:
        topics, prefix = settings.topics, settings.prefix
        kinds = {
            topics.live: LIVE,
            topics.tickers: TICKERS,
            topics.funding: FUNDING,
            topics.instruments: INSTRUMENTS,
            topics.signals: SIGNALS,
            topics.bars: BARS,
            **{topics.candles(timeframe): candles(timeframe) for timeframe in Timeframe},
        }
        self._partitions = settings.partitions
        self._topics: dict[str, HotTopic] = {
            topics.trades: HotTrades(prefix, self._partitions),
            **{topic: HotRecords(kind, prefix, self._partitions) for topic, kind in kinds.items()},
        }
        self.topics = tuple(self._topics)
        self.recent_only = frozenset({topics.trades})
        self._url = redis_address(settings)
        self._prefix = prefix
        self._script = Script("write.lua")
        self._held = HeldPositions(prefix)
        self._client: HotClient | None = None
        self._publish = ""
        self._run_ids: frozenset[str] = frozenset()
        self._looked_at_s = 0.0
        self._was_away = False

    async def open(self) -> None:
        """Connect."""
        await self.close()
        self._client = connect(self._url, retries=0)
        with redis_errors(self._url):
            self._publish = (await ask_servers(self._client)).publish

    async def identities(self) -> Mapping[str, str | None]:
        """No identities are needed: Redis holds its own positions."""
        return {}

    async def positions(
        self, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]
    ) -> Mapping[TopicPartition, int] | None:
        """Up to where Redis holds all data. A topic with another id than before has none: it is filled anew.

        A position without an id (brokers cannot say it) is taken as it is.
        """
        if self._was_away:
            await self.open()
        with self._noticing():
            self._run_ids = (await ask_servers(self._opened)).run_ids
            positions = await self._held.read(self._opened, tps, topic_ids)
        self._was_away = False
        return positions

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As writes of the script: of what replaces each other only the last."""
        return self._topics[tp.topic].encode(tp.partition, records)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write each batch, and then its position.

        `MovedError` if Redis holds less than this process left there, or another position; and after a server was away
        or started again: it may have lost what it acknowledged, and of tags without new records nobody would notice.
        """
        if self._was_away or await self._were_servers_replaced():
            raise MovedError("Redis was away: looking what it holds now")
        with self._noticing():
            calls = self._calls(batches)
            if calls and None in await self._script.call(self._opened, calls):
                raise MovedError("Redis holds less than it acknowledged")
            moves = [PositionMove(batch.tp, batch.next, {write.tag for write in _writes(batch)}) for batch in batches]
            refused = await self._held.move(self._opened, moves)
        if refused:
            raise MovedError(f"Redis holds another position of {', '.join(map(name_of, refused))}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await disconnect(client)

    @property
    def _opened(self) -> HotClient:
        assert self._client is not None  # noqa: S101  # a store is opened before it is asked or written to
        return self._client

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Errors as ours; notices that Redis is away."""
        try:
            with redis_errors(self._url):
                yield
        except UnavailableError:
            self._was_away = True
            raise

    async def _were_servers_replaced(self) -> bool:
        """Whether other servers run than when the positions were read; asked now and then."""
        if time.monotonic() - self._looked_at_s < LOOK_INTERVAL_S:
            return False
        with self._noticing():
            servers = await ask_servers(self._opened)
        self._looked_at_s = time.monotonic()
        return servers.run_ids != self._run_ids

    def _calls(self, batches: Iterable[Batch]) -> list[Call]:
        """The script's calls for these batches."""
        placed = (each for batch in batches for each in self._placed(batch))
        any_keys = takes_any_keys(self._opened)
        return list(joined(placed, prefix=self._prefix, publish=self._publish, any_keys=any_keys))

    def _placed(self, batch: Batch) -> Iterator[PlacedWrite]:
        """A batch's writes; its end stands only at the last write of a tag."""
        tp, now_s, writes = batch.tp, int(time.time()), _writes(batch)
        last = {write.tag: number for number, write in enumerate(writes)}
        place = f"{name_of(tp)} {self._held.topic_id(tp)}"
        for number, write in enumerate(writes):
            known = self._held.known(tp, write.tag, now_s)
            end = batch.next if last[write.tag] == number else ""
            is_behind = int(batch.first < known)  # someone moved the group back, to have this written again
            yield PlacedWrite(f"{place} {known} {end} {is_behind}", write)


def _writes(batch: Batch) -> list[Write]:
    return batch.chunk or []
