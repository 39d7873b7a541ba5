"""A log that was appended in the past, as retention and replays by append time see it."""

import time

from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from eventually import eventually
from market_log import MINUTE, Log

from market.codec import decode_marker, encode_progress, progress_key
from market.feed import Progress
from market.partition import partition_of
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings, kafka_address

_CREATE_TIME = 0


def minutes_ago(minutes: int) -> int:
    """A whole minute of the past, in microseconds; records of that append time are kept."""
    return (time.time_ns() // 1000 // MINUTE - minutes) * MINUTE


async def fill_past(settings: Settings, log: Log) -> None:
    """Publish a made-up log under the append times that its records say, not those of now."""
    await _stamp(settings, "CreateTime")
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address(settings), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        sends = []
        for record in log.records:
            partition = partition_of(record.key, settings.partitions) if record.key else 0
            sends.append(
                await producer.send(
                    settings.topics.trades,
                    record.value,
                    record.key or b"",
                    partition,
                    record.timestamp,
                    list(record.headers),
                )
            )
        assert {(await sent).timestamp_type for sent in sends} == {_CREATE_TIME}
    finally:
        await producer.stop()
        await _stamp(settings, "LogAppendTime")


async def tell_progress(settings: Settings, log: Log) -> None:
    """What the producers of this log would have said in `md.progress.v1` of its live keys."""
    newest: dict[str, int] = {}
    for record in log.records:
        marker = decode_marker(record.headers) if record.value is None and record.key else None
        if marker is not None and marker.run is None:
            key = (record.key or b"").decode()
            newest[key] = max(newest.get(key, 0), marker.complete_until_us)
    async with Publisher(settings) as publisher:
        sent = [
            await publisher.send(
                settings.topics.progress,
                Outgoing(progress_key(key, None), encode_progress(Progress(key=key, complete_until_us=until_us))),
            )
            for key, until_us in newest.items()
        ]
        await publisher.await_acknowledgements(sent)


async def _stamp(settings: Settings, kind: str) -> None:
    """Set what the trades topic's timestamps are; those that stand in it stay."""
    admin = AdminClient({"bootstrap.servers": kafka_address(settings)})
    entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, settings.topics.trades, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)

    def applied() -> bool:
        (described,) = admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, settings.topics.trades)]
        ).values()
        return described.result(10)["message.timestamp.type"].value == kind

    await eventually(applied)
