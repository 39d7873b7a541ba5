"""A broker that is frozen for a while, as by a cut network: an outage, and no stuck reader."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from candle_engine import candles_in, expected_candles, fill
from confluent_kafka import Producer
from eventually import eventually
from frozen import frozen_broker
from market_log import make_log
from members import PATIENCE_S, Member

from market.topics import Topics
from runtime.errors import UnavailableError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, kafka_address

STALL_TIMEOUT_S = 7
FROZEN_S = 9.0


async def test_a_broker_that_is_away_is_no_stuck_reader(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    log, _ = make_log(41)
    path = tmp_path / "member"
    member = Member(
        environment | {"CANDLEWICK_STALL_TIMEOUT_S": str(STALL_TIMEOUT_S), "CANDLEWICK_PROGRESS_S": "1"}, path
    )
    try:
        await member.start()
        await eventually(member.assignments, timeout_s=PATIENCE_S)
        with hidden(settings):
            await fill(settings, log)
            await eventually(lambda: lag_in(path) > 0, timeout_s=PATIENCE_S)
            with frozen_broker(settings):
                await asyncio.sleep(FROZEN_S)  # the fault itself
        assert member.is_running, path.read_text()[-2000:]

        async def is_read() -> bool:
            assert member.is_running, path.read_text()[-2000:]
            try:
                offsets = await group_offsets(settings, topics.group("candles"))
            except UnavailableError:  # the broker is not all back yet
                return False
            return sum(offsets.values()) >= len(log.records)

        await eventually(is_read, timeout_s=PATIENCE_S)
        assert await member.end(signal.SIGTERM) == 0
    finally:
        await member.end(signal.SIGKILL)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


@contextmanager
def hidden(settings: Settings) -> Iterator[None]:
    """Another producer's open transaction: what is written in the block can't be read before its end."""
    producer = Producer(
        {
            "bootstrap.servers": kafka_address(settings),
            "transactional.id": f"{settings.prefix}elsewhere",
            "transaction.timeout.ms": 120_000,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(settings.partitions):
        producer.produce(settings.topics.trades, b"", b"elsewhere:X-Y", partition)
    producer.flush(30)
    try:
        yield
    finally:
        producer.abort_transaction(30)


def lag_in(path: Path) -> int:
    """The lag of the last progress line."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if '"event":"progress"' in line]
    return int(lines[-1]["unread"] or 0) if lines else 0
