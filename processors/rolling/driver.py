"""Faust's consumer as this pipeline needs it: committed records only, topics of one key together, and where it stands.

Faust 0.15 reads uncommitted records unless it processes "exactly once", and without tables it assigns round-robin: a
symbol's live and closed candles would go to two workers. Both are changed on the consumer it makes, before it starts.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from runtime.kafka.connection import connection
from runtime.settings import Settings, kafka_address


class Tail(NamedTuple):
    """Where reading of a partition stands, all taken at one moment."""

    offset: int
    """Newest record handed out since the assignment; -1: none."""
    position: int
    """What is read next; past control records too."""
    end: int
    """First offset that is not committed yet."""

    def ended_at(self, offset: int) -> bool:
        """Whether no committed record stands behind `offset`."""
        return self.position >= self.end and self.offset <= offset


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust ships no usable types
    """The thread that fetches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tails: dict[TP, Tail] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        self._assignor = self.app.assignor
        consumer._partition_assignment_strategy = [self._assignor]  # noqa: SLF001  # Faust offers no setting for it
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # likewise
        return consumer

    async def _fetch_records(self, consumer: Any, active_partitions: Any, **options: Any) -> Any:
        fetched = await super()._fetch_records(consumer, active_partitions, **options)
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001  # positions without a round trip
        for tp in assignment.tps if assignment else ():
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position and state.lso is not None:
                records = fetched.get(tp)
                offset = records[-1].offset if records else self.tails.get(tp, Tail(-1, 0, 0)).offset
                self.tails[tp] = Tail(offset, state.position, state.lso)
        return fetched


class _Consumer(driver.Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class _Boot(faust.App.BootStrategy):  # type: ignore[misc]
    """What it makes is published by `runtime.kafka.Publisher`, which tells of every acknowledgement."""

    enable_kafka_producer = False
    enable_web = False


class CandleApp(faust.App):  # type: ignore[misc]
    """A Faust application without tables, files, web server or producer of its own."""

    BootStrategy = _Boot

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Make no data folder: there is nothing to keep in it."""

    def tail(self, topic: str, partition: int) -> Tail | None:
        """Where reading stands; None before the first answer of the broker."""
        return self.consumer._thread.tails.get(TP(topic, partition))  # type: ignore[no-any-return]  # noqa: SLF001

    def forget_tails(self) -> None:
        """After a rebalance partitions are read from their committed offsets again."""
        self.consumer._thread.tails.clear()  # noqa: SLF001

    async def commit_offsets(self, topic: str, offsets: dict[int, int]) -> None:
        """Commit partition → next offset; what is no longer assigned is left out."""
        if offsets:
            await self.consumer._commit({TP(topic, partition): at for partition, at in offsets.items()})  # noqa: SLF001


def make_app(settings: Settings, group: str) -> CandleApp:
    """The application, as a member of `group`; nothing of it comes from the environment or the command line."""
    servers: Iterable[str] = kafka_address(settings).split(",")
    return CandleApp(
        group,
        broker=[URL(f"kafka://{server.strip()}") for server in servers],
        broker_credentials=_credentials(settings),
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,
        web_enabled=False,
        autodiscover=False,
    )


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
