"""Publishes each refused record once, to `<topic>.dlq`, with where it came from and why it was refused."""

from collections.abc import Mapping, Sequence

from market.codec import GROUP_HEADER, header
from market.ids import IdRanges
from runtime.errors import UnavailableError
from runtime.kafka import Outgoing, Publisher, TopicPartition, dead_letter, read_to_end
from runtime.settings import Settings
from runtime.telemetry import logger
from sinks.encoded import RejectedRecord

TOPIC_ID_HEADER = "candlewick.topic_id"
"""The id of the record's topic: a topic made anew has other records at the same offsets."""
_OFFSET = "__streams.errors.offset"
_OFFSET_DIGITS = 19
LARGE_BYTES = 900_000
"""A larger value may not fit into a record together with the headers: then only the value's size is published."""
VALUE_BYTES_HEADER = "__streams.errors.value.bytes"
_TOO_LARGE = "MessageSizeTooLargeError"


class DeadLetters:
    """The dead letters of one group.

    At the first refusal after an assignment, the dead-letter topic is read, to know what this group has published. So
    a record is published once, even if the group dies before the record's offset is committed, or is moved back and
    reads the record again. Dead letters of other groups do not count.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._group = group.encode()
        self._publisher: Publisher | None = None
        self._published: dict[TopicPartition, IdRanges] = {}
        self._topic_ids: Mapping[str, str | None] = {}
        self._log = logger(group)

    async def publish(self, refused: Mapping[TopicPartition, Sequence[RejectedRecord]]) -> int:
        """Publish those that are not published yet; returns how many, once they are acknowledged."""
        count = 0
        for tp, letters in refused.items():
            if not letters:
                continue
            published = self._published.get(tp) or await self._read(tp)
            self._published[tp] = published
            new = {letter.record.offset: letter for letter in letters if letter.record.offset not in published}
            await self._send([self._outgoing(tp, letter) for letter in new.values()], tp.topic)
            for offset in new:
                published.add(offset)
            count += len(new)
        return count

    def begin(self, topic_ids: Mapping[str, str | None]) -> None:
        """Call this after an assignment: other processes may have published since, and topics may be made anew."""
        self._published.clear()
        self._topic_ids = topic_ids

    async def close(self) -> None:
        """Close the producer."""
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            await publisher.__aexit__(None, None, None)

    def _outgoing(self, tp: TopicPartition, letter: RejectedRecord) -> Outgoing:
        (topic, partition), (record, error) = tp, letter
        self._log.warning("dead letter", reason=str(error), topic=topic, partition=partition, offset=record.offset)
        more = [(GROUP_HEADER, self._group)]
        if (topic_id := self._topic_id(topic)) is not None:
            more.append((TOPIC_ID_HEADER, topic_id))
        return dead_letter(tp, record, error, more)

    def _topic_id(self, topic: str) -> bytes | None:
        topic_id = self._topic_ids.get(topic)
        return None if topic_id is None else topic_id.encode()

    async def _send(self, letters: list[Outgoing], source: str) -> None:
        topic = self._settings.topics.dead_letters(source)
        await self._acknowledged(topic, [letter for letter in letters if len(letter.value or b"") <= LARGE_BYTES])
        for letter in letters:
            size_bytes = len(letter.value or b"")
            if size_bytes <= LARGE_BYTES:
                continue
            try:
                await self._acknowledged(topic, [letter])
            except UnavailableError as error:
                if type(error.__cause__).__name__ != _TOO_LARGE:
                    raise
                size = (VALUE_BYTES_HEADER, b"%d" % size_bytes)
                await self._acknowledged(topic, [letter._replace(value=None, headers=[*letter.headers, size])])

    async def _acknowledged(self, topic: str, records: list[Outgoing]) -> None:
        if not records:
            return
        if self._publisher is None:
            self._publisher = await Publisher(self._settings).__aenter__()
        try:
            await self._publisher.await_acknowledgements(
                [await self._publisher.send(topic, record) for record in records]
            )
        except BaseException as error:  # after any error a producer cannot be used any more
            publisher, self._publisher = self._publisher, None
            await publisher.__aexit__(type(error), error, error.__traceback__)
            raise

    async def _read(self, tp: TopicPartition) -> IdRanges:
        """The offsets of a partition that this group has published."""
        published = IdRanges()
        topic = self._settings.topics.dead_letters(tp.topic)
        async for records in read_to_end(self._settings, topic, partitions=[tp.partition]):
            for record in records:
                if header(record.headers, GROUP_HEADER) != self._group:
                    continue
                if header(record.headers, TOPIC_ID_HEADER) != self._topic_id(tp.topic):
                    continue
                offset = header(record.headers, _OFFSET) or b""
                if offset.isdigit() and len(offset) <= _OFFSET_DIGITS:
                    published.add(int(offset))
        return published
