"""What feeds and imports wrote, for a seed: an orderly log, and what real life does to it."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from broker import Broker, Ending, Message
from market_log import MINUTE, START, LogRecord, make_log, make_trade
from network import Network

from market.codec import encode_marker, encode_trade
from market.partition import partition_of
from market.trade import Marker, Proof

PARTITIONS = 3
KEYS = ("sim:BBB-USD", "sim:AAA-USD", "sim:DDD-USD", "sim:CCC-USD")
"""The first three lie in partitions 0, 1, 2; the fourth shares partition 0."""
SPEED = 30.0
"""Seconds of the market, and of the log clock, in one of the loop's."""


class Arrival(NamedTuple):
    """Records that reach the broker together, so long after the beginning, on the loop's clock."""

    at_s: float
    records: list[LogRecord]


def arrivals(rng: Random) -> list[Arrival]:
    """A seed's whole input, in order."""
    records = _disturbed(_orderly(rng), rng)
    parts: list[Arrival] = []
    most = rng.choice((3, 12, 40))
    while records:
        size = rng.randrange(1, most + 1)
        some, records = records[:size], records[size:]
        at_s = (max(record.timestamp for record in some) - START // 1000) / 1000 / SPEED
        parts.append(Arrival(max(at_s, parts[-1].at_s + 0.001 if parts else 0.0), some))
    return parts


def _orderly(rng: Random) -> list[LogRecord]:
    keys = KEYS[: rng.choice((2, 3, 4, 4))]
    return make_log(rng.randrange(2**32), minutes=rng.choice((6, 10, 14)), keys=keys)[0].records


def _disturbed(records: list[LogRecord], rng: Random) -> list[LogRecord]:
    """Late fills, redeliveries, lost markers, wrong clocks, foreign keys, other proofs: each seed its own share."""
    kinds: list[Callable[[list[LogRecord], int, Random], None]] = [
        _delay, _delay, _repeat, _repeat, _delay_and_repeat, _lose, _run_ahead, _mark_ahead, _misplace, _prove_less,
    ]  # fmt: skip
    kinds = rng.sample(kinds, rng.randrange(len(kinds) + 1))
    for kind in kinds:
        for _ in range(rng.choice((1, 3, 8))):
            kind(records, rng.randrange(len(records)), rng)
    return records


def _later(records: list[LogRecord], at: int, rng: Random) -> int:
    return min(len(records), at + int(2 ** rng.uniform(0, 7)))


def _delay(records: list[LogRecord], at: int, rng: Random) -> None:
    if records[at].value:
        record = records.pop(at)
        records.insert(_later(records, at, rng), record)


def _repeat(records: list[LogRecord], at: int, rng: Random) -> None:
    records.insert(_later(records, at, rng), records[at])


def _delay_and_repeat(records: list[LogRecord], at: int, rng: Random) -> None:
    if records[at].value:
        record = records.pop(at)
        to = _later(records, at, rng)
        records[to:to] = [record] * rng.randrange(2, 5)


def _lose(records: list[LogRecord], at: int, rng: Random) -> None:
    del rng
    if records[at].value is None:
        del records[at]


def _run_ahead(records: list[LogRecord], at: int, rng: Random) -> None:
    record = records[at]
    time_us = record.timestamp * 1000 + rng.choice((1, 3, 2000)) * MINUTE
    trade = make_trade((record.key or b"").decode(), 10**6 + at, time_us, "7.5")
    records.insert(at, record._replace(value=encode_trade(trade), headers=()))


def _mark_ahead(records: list[LogRecord], at: int, rng: Random) -> None:
    until_us = (records[at].timestamp * 1000 // MINUTE + rng.choice((3, 5, 600))) * MINUTE
    marker = Marker(complete_until_us=until_us, published_until_us=until_us, proof=Proof.IDS)
    records.insert(at, records[at]._replace(value=None, headers=tuple(encode_marker(marker))))


def _misplace(records: list[LogRecord], at: int, rng: Random) -> None:
    records[at] = records[at]._replace(key=rng.choice(KEYS).encode())


def _prove_less(records: list[LogRecord], at: int, rng: Random) -> None:
    proof = rng.choice((b"connection", b"hole"))
    headers = tuple(
        (name, proof if (name, value) == ("proof", b"ids") else value) for name, value in records[at].headers
    )
    records[at] = records[at]._replace(headers=headers)


class Exchange:
    """Publishes the input as time goes by, now and then in transactions as another producer might."""

    def __init__(self, network: Network, broker: Broker, topic: str, rng: Random) -> None:
        self._network = network
        self._broker = broker
        self._topic = topic
        self._rng = rng
        self._transactions = rng.choice((0.0, 0.0, 0.05, 0.2))
        self._count = 0

    def open(self, parts: list[Arrival]) -> None:
        for part in parts:
            self._network.later(part.at_s, self._publish, part.records)

    def _publish(self, records: list[LogRecord]) -> None:
        by_partition: dict[int, list[Message]] = {}
        for record in records:
            # A misplaced record keeps the partition of the feed that it stands for.
            partition = partition_of(record.key, PARTITIONS) if record.key else 0
            if self._rng.random() < 0.002:
                partition = self._rng.randrange(PARTITIONS)
            by_partition.setdefault(partition, []).append(Message(record.key, record.value, record.headers))
        for partition, messages in by_partition.items():
            if self._rng.random() < self._transactions:
                self._publish_in_transaction(partition, messages)
            else:
                self._broker.produce(self._tp(partition), messages)

    def _publish_in_transaction(self, partition: int, messages: list[Message]) -> None:
        """Aborted, then again; committed in a while: meanwhile committed readers see nothing behind its begin."""
        for ending in (Ending.ABORT, Ending.COMMIT) if self._rng.random() < 0.5 else (Ending.COMMIT,):
            self._count += 1
            name = f"feed-{self._count}"
            epoch = self._broker.init_producer(name)
            self._broker.produce_in(name, epoch, self._tp(partition), messages)
            self._network.later(self._rng.uniform(0, 2), self._broker.end, name, epoch, ending)

    def _tp(self, partition: int):  # noqa: ANN202
        return next(tp for tp in self._broker.logs if tp == (self._topic, partition))
