"""What has to be true of a run: against one uninterrupted pass of the core, and against plain sums over the trades."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from broker import Broker, Entry
from tally import tally

from market.codec import RUN_HEADER, dead_letter_headers, encode_candle
from market.topics import Topics
from processors.candles.core import Core, Rules
from processors.candles.state import core_of
from processors.engine.state import StateError, StoredState
from runtime.kafka import TopicPartition

Line = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


@dataclass(kw_only=True)
class Facts:
    """What a run left behind."""

    broker: Broker
    topics: Topics
    partitions: int
    rules: Rules

    def committed(self, topic: str, partition: int) -> list[Entry]:
        return self.broker.logs[TopicPartition(topic, partition)].all_committed()

    def lines(self, topic: str, partition: int) -> list[Line]:
        return [(entry.key, entry.value, tuple(entry.headers)) for entry in self.committed(topic, partition)]


def violations(facts: Facts) -> list[str]:
    """All that is wrong, each by name."""
    return [wrong for partition in range(facts.partitions) for wrong in _of_partition(facts, partition)]


def _of_partition(facts: Facts, partition: int) -> Iterator[str]:
    topics = facts.topics
    records = facts.committed(topics.trades, partition)
    core = Core(partition=partition, partitions=facts.partitions, position=0, rules=facts.rules, awaits_floor=False)
    wanted = core.process(records)
    candles = [
        (candle.key.encode(), encode_candle(candle), () if run is None else ((RUN_HEADER, run.encode()),))
        for candle, run in wanted.candles
    ]
    late = [(record.key or b"", record.value, tuple(record.headers)) for record in wanted.late]
    dead = [
        (record.key or b"", record.value, tuple(dead_letter_headers(
            error, topic=topics.trades, partition=partition, offset=record.offset, headers=record.headers)))
        for record, error in wanted.dead
    ]  # fmt: skip
    for name, topic, lines in (
        ("candles", topics.candles(), candles),
        ("late trades", topics.late, late),
        ("dead letters", topics.dead_letters(topics.trades), dead),
    ):
        yield from _difference(f"{name} of partition {partition}", facts.lines(topic, partition), lines)
    yield from _state(facts, partition, core)
    yield from tally(records, facts.committed(topics.candles(), partition), partition, facts.partitions, facts.rules)


def _difference(name: str, found: list[Line], wanted: list[Line]) -> Iterator[str]:
    if found == wanted:
        return
    missing = sum(line not in found for line in wanted)
    twice = len(found) - len(set(found))
    wrong = sum(line not in wanted for line in found)
    at = next((n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted)))
    yield f"{name}: {len(found)} for {len(wanted)}; {missing} missing, {twice} twice, {wrong} wrong, first at {at}"


def _state(facts: Facts, partition: int, core: Core) -> Iterator[str]:
    stored = StoredState()
    stored.take(facts.committed(facts.topics.state, partition))
    offset = facts.broker.offsets.get((facts.topics.group("candles"), TopicPartition(facts.topics.trades, partition)))
    if offset != stored.committed:
        yield f"partition {partition}: the group stands at {offset}, by its own word at {stored.committed}"
    if (offset or 0) != core.position:
        yield f"partition {partition}: the group stands at {offset}, the log ends at {core.position}"
    if stored.position is None:
        return
    try:
        restored = core_of(stored, partition=partition, partitions=facts.partitions, rules=facts.rules)
    except StateError as error:
        yield f"partition {partition}: {error}"
        return
    read_again = facts.committed(facts.topics.trades, partition)
    restored.process([record for record in read_again if stored.position <= record.offset < (offset or 0)])
    if _picture(restored) != _picture(core):
        yield f"partition {partition}: the state is not that of an uninterrupted pass"


def _picture(core: Core) -> dict[Any, Any]:
    all_series = {
        key: (series.snapshot(), {open_us: minute.snapshot() for open_us, minute in series.minutes.items()})
        for key, series in core.series.items()
        if series.final_until_us is not None or series.minutes
    }
    return {"position": core.position, "floor": core.floor_us, **all_series}
