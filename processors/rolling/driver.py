"""Faust's consumer as this pipeline needs it: committed records only, co-partitioned, in batches, with positions.

Faust 0.15 reads uncommitted records unless it processes "exactly once". Without tables it assigns round-robin: a
symbol's live and closed candles would go to two workers. And it handles every record as a message and an event of its
own, which costs more than what is done with a candle. This file changes all three on the consumer that Faust makes.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from faust.app.base import App, BootStrategy
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types import TP as TP  # noqa: PLC0414  # re-exported: only this file imports faust
from yarl import URL

from market.records import BareRecord
from runtime.kafka import OffsetMetadata
from runtime.kafka.batches import WHOLE_BATCHES, flattened
from runtime.kafka.connection import connection
from runtime.settings import Settings, kafka_address

POLL_BATCHES = 16
"""How many producer batches (256 KB each, before compression) Faust takes at a time, of all partitions together."""
BUFFERED_EVENTS = 2
"""How many events may wait in Faust for the agent; each holds at most `POLL_BATCHES`."""


class Handful(NamedTuple):
    """Records of one partition in offset order. To Faust it is one `ConsumerRecord`, and so one message and one event.

    Faust reads on from its offset, which is that of its last record; it has no key.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: list[BareRecord]
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = 1
    checksum: int | None = None
    serialized_key_size: int = 0
    serialized_value_size: int = 0


class Tail(NamedTuple):
    """How far a partition is read, all values taken at one moment."""

    generation: int
    """The group's generation: after a rebalance a partition is read again from its committed offset."""
    offset: int
    """Offset of the newest record handed out in this generation; -1: none."""
    position: int
    """The offset to read next; control records count as read."""
    end: int
    """First offset that committed readers cannot read yet: the log's end, or the start of an open transaction."""
    log_end: int
    """Offset of the next record to be written."""

    def ended_at(self, offset: int) -> bool:
        """Whether no committed record comes after `offset`."""
        return self.position >= self.end and self.offset <= offset


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread that fetches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tails: dict[TP, Tail] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        self._assignor = self.app.assignor
        consumer._partition_assignment_strategy = [self._assignor]  # noqa: SLF001  # Faust offers no setting for it
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # likewise
        consumer._key_deserializer = WHOLE_BATCHES  # noqa: SLF001  # likewise
        consumer.commit = partial(_commit, consumer.commit, cast(CandleApp, self.app).offset_metadata)  # likewise
        return consumer

    async def _fetch_records(self, consumer: Any, active_partitions: set[TP], *args: Any, **kwargs: Any) -> Any:
        batches: Any = await super()._fetch_records(consumer, active_partitions, *args, **kwargs)
        fetched = {TP(*tp): [_handful(TP(*tp), records)] for tp, records in flattened(batches).items() if records}
        if self.consumer.flow_active:  # else a rebalance is under way: reading will not go on from these positions
            self._note_tails(consumer, fetched)
        return fetched

    def _note_tails(self, consumer: Any, fetched: Mapping[TP, Sequence[Any]]) -> None:
        generation = self.app.consumer_generation_id
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001  # positions without a round trip
        for tp in assignment.tps if assignment else ():
            state = assignment.state_value(tp)
            if state is None or not state.has_valid_position or state.lso is None:
                continue
            before = self.tails.get(tp)
            offset = before.offset if before and before.generation == generation else -1
            if records := fetched.get(tp):
                offset = records[-1].offset
            log_end = max(state.lso, state.highwater or 0)
            self.tails[tp] = Tail(generation, offset, state.position, state.lso, log_end)


def _handful(tp: TP, records: list[BareRecord]) -> Handful:
    return Handful(tp.topic, tp.partition, records[-1].offset, records[-1].timestamp, records)


async def _commit(
    commit: Callable[[Mapping[Any, Any]], Awaitable[None]],
    metadata: Mapping[str, OffsetMetadata],
    offsets: Mapping[Any, Any],
) -> None:
    """Commit as aiokafka does, with the topic's metadata at each offset."""
    none = OffsetMetadata()
    await commit({tp: (next_.offset, metadata.get(tp.topic, none).encode()) for tp, next_ in offsets.items()})


class _Consumer(driver.Consumer):
    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def tails(self) -> dict[TP, Tail]:
        """How far each partition is read."""
        return self._thread.tails

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit these next offsets, whether Faust counts their events as acknowledged or not."""
        await self._commit(offsets)


class _Transport(driver.Transport):
    Consumer = _Consumer


class _Boot(BootStrategy):
    """Outputs are published by `runtime.kafka.Publisher`, which reports every acknowledgement."""

    enable_kafka_producer = False
    enable_web = False


class CandleApp(App):
    """A Faust application without tables, files, web server or producer of its own."""

    BootStrategy = _Boot
    offset_metadata: Mapping[str, OffsetMetadata] = MappingProxyType({})
    """Topic → what is committed with its offsets."""

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Make no data folder: there is nothing to keep in it."""

    def tail(self, topic: str, partition: int) -> Tail | None:
        """How far a partition is read; None before the broker's first answer in this generation."""
        tail = self._own_consumer.tails.get(TP(topic, partition))
        return tail if tail and tail.generation == self.consumer_generation_id else None

    async def commit_offsets(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit partition → next offset; what is no longer assigned is left out."""
        if offsets:
            await self._own_consumer.commit_offsets(
                {TP(topic, partition): offset for partition, offset in offsets.items()}
            )

    @property
    def _own_consumer(self) -> _Consumer:
        return cast(_Consumer, self.consumer)


def make_app(
    settings: Settings, group: str, instance_id: str | None, metadata: Mapping[str, OffsetMetadata]
) -> CandleApp:
    """The application, as a member of `group`; no setting of it comes from the environment or the command line.

    `metadata`: topic → what is committed with its offsets.
    """
    servers = kafka_address(settings).split(",")
    app = CandleApp(
        group,
        broker=[URL(f"kafka://{server.strip()}") for server in servers],
        broker_credentials=_credentials(settings),
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id,
        broker_max_poll_records=POLL_BATCHES,  # of batches
        stream_buffer_maxsize=BUFFERED_EVENTS,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,
        web_enabled=False,
        autodiscover=False,
    )
    app.offset_metadata = metadata
    return app


def _credentials(settings: Settings) -> Any:
    arguments = connection(settings)
    context = arguments.get("ssl_context")
    if settings.kafka_security.startswith("SASL"):
        return SASLCredentials(
            username=arguments["sasl_plain_username"],
            password=arguments["sasl_plain_password"],
            mechanism=arguments["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
