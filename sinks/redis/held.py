"""The positions that Redis holds, read and moved; `sinks.redis.positions` says what they prove."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from runtime.kafka import TopicPartition
from runtime.telemetry import logger
from sinks.redis.connect import HotClient, takes_any_keys
from sinks.redis.keys import POSITIONS_TTL_S, positions_key, written_key
from sinks.redis.positions import NOWHERE, Loss, Note, PartitionRecord, Position, find_loss
from sinks.redis.scripts import Call, Script
from sinks.redis.writes import lines


class PositionMove(NamedTuple):
    """A partition's next position, and the tags that are written up to there."""

    tp: TopicPartition
    next: int
    tags: Collection[str]


class HeldPositions:
    """What this process knows to stand in Redis. All methods raise what the client raises."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._script = Script("position.lua")
        self._records: dict[TopicPartition, PartitionRecord] = {}
        self._topic_ids: dict[str, str] = {}
        """Empty texts where brokers cannot say."""
        self._log = logger("sink.redis")

    async def read(
        self, client: HotClient, tps: Iterable[TopicPartition], topic_ids: Mapping[str, str | None]
    ) -> dict[TopicPartition, int]:
        """Up to where all is written; nothing for a partition without a position in its topic as it is now.

        What Redis lost is first taken out of its positions, so that it is not forgotten before it is written again.
        """
        self._topic_ids |= {topic: topic_id or "" for topic, topic_id in topic_ids.items()}
        now_s = int(time.time())
        records = await self._read_records(client, list(tps), now_s)
        self._records |= records
        written = await self._read_written(client, records)
        for tp, record in records.items():
            if Position.parse(record.position).offset_in(self.topic_id(tp)) == NOWHERE and record.position:
                self._log.warning("the topic was made anew: it is read from its beginning", partition=name_of(tp))
                await self._repair(client, tp, Loss(dict.fromkeys(record.notes, NOWHERE), NOWHERE))
            elif (loss := find_loss(record, written[tp])) is not None:
                self._log.warning("Redis lost writes: they are read again", partition=name_of(tp), tags=len(loss.tags))
                await self._repair(client, tp, loss)
        offsets = {tp: self.offset(tp) for tp in records}
        return {tp: offset for tp, offset in offsets.items() if offset != NOWHERE}

    def topic_id(self, tp: TopicPartition) -> str:
        """Kafka's id of the topic; empty: not known."""
        return self._topic_ids.get(tp.topic, "")

    def offset(self, tp: TopicPartition) -> int:
        """The partition's position; `NOWHERE` if there is none."""
        return Position.parse(self._record(tp).position).offset

    def known(self, tp: TopicPartition, tag: str, now_s: int) -> int:
        """Up to which offset Redis must hold the tag."""
        return self._record(tp).known(tag, now_s)

    async def move(self, client: HotClient, moves: list[PositionMove]) -> list[TopicPartition]:
        """Move positions once all tags are written; returns the partitions where Redis holds another one."""
        now_s = int(time.time())
        after = [
            PartitionRecord(
                position=str(Position(move.next, self.topic_id(move.tp))),
                notes=dict.fromkeys(move.tags, Note(move.next, now_s)),
            )
            for move in moves
        ]
        calls = [self._call(move.tp, new, ()) for move, new in zip(moves, after, strict=True)]
        if calls and takes_any_keys(client):
            calls = [_in_one(calls)]
        answers = chain.from_iterable(await self._script.call(client, calls))
        for move, new in zip(moves, after, strict=True):
            self._record(move.tp).update(new)
        return [move.tp for move, answer in zip(moves, answers, strict=True) if not answer]

    def _record(self, tp: TopicPartition) -> PartitionRecord:
        return self._records.setdefault(tp, PartitionRecord())

    def _key(self, tp: TopicPartition) -> str:
        return positions_key(self._prefix, name_of(tp))

    async def _read_records(
        self, client: HotClient, tps: list[TopicPartition], now_s: int
    ) -> dict[TopicPartition, PartitionRecord]:
        pipeline = client.pipeline(transaction=False)
        for tp in tps:
            pipeline.hgetall(self._key(tp))
        answers = await pipeline.execute()
        return {tp: PartitionRecord.parse(fields, now_s) for tp, fields in zip(tps, answers, strict=True)}

    async def _read_written(
        self, client: HotClient, records: Mapping[TopicPartition, PartitionRecord]
    ) -> dict[TopicPartition, dict[str, int]]:
        """Up to where each tag of the records is written."""
        by_tag: dict[str, list[TopicPartition]] = defaultdict(list)
        for tp, record in records.items():
            for tag in record.notes:
                by_tag[tag].append(tp)
        pipeline = client.pipeline(transaction=False)
        for tag, tps in by_tag.items():
            pipeline.hmget(written_key(self._prefix, tag), list(map(name_of, tps)))
        answers = await pipeline.execute()
        written: dict[TopicPartition, dict[str, int]] = {tp: {} for tp in records}
        for (tag, tps), values in zip(by_tag.items(), answers, strict=True):
            for tp, value in zip(tps, values, strict=True):
                written[tp][tag] = Position.parse((value or b"").decode()).offset_in(self.topic_id(tp))
        return written

    async def _repair(self, client: HotClient, tp: TopicPartition, loss: Loss) -> None:
        """Let the partition's record say what is there."""
        now_s = int(time.time())
        forgotten = [tag for tag, offset in loss.tags.items() if offset == NOWHERE]
        new = PartitionRecord(
            position=str(Position(loss.resume, self.topic_id(tp))),
            notes={tag: Note(offset, now_s) for tag, offset in loss.tags.items() if offset != NOWHERE},
        )
        await self._script.call(client, [self._call(tp, new, forgotten)])
        record = self._record(tp)
        record.update(new)
        for tag in forgotten:
            del record.notes[tag]

    def _call(self, tp: TopicPartition, new: PartitionRecord, forgotten: Collection[str]) -> Call:
        tags = (lines(new.notes.values()), lines(new.notes), lines(forgotten))
        return Call((self._key(tp),), (POSITIONS_TTL_S, self._record(tp).position, new.position, *tags))


def _in_one(calls: Iterable[Call]) -> Call:
    keys, arguments = zip(*calls, strict=True)
    return Call(
        tuple(chain.from_iterable(keys)),
        (POSITIONS_TTL_S, *chain.from_iterable(each for _, *each in arguments)),
    )


def name_of(tp: TopicPartition) -> str:
    """As Redis has it: ``topic/partition``."""
    return f"{tp.topic}/{tp.partition}"
