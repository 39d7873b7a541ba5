"""The values of a topic, decoded: what a broken one means is decided here."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from market.errors import MalformedError
from runtime.errors import CandlewickError
from runtime.kafka.log import read_to_end
from runtime.kafka.records import Record
from runtime.settings import Settings

Value = TypeVar("Value")


async def decoded(
    settings: Settings, topic: str, decode: Callable[[bytes], Value]
) -> AsyncIterator[tuple[Record, Value]]:
    """Each record that has a value, with it, to the topic's end as it stands; a broken one raises `CandlewickError`."""
    async for records in read_to_end(settings, topic):
        for record in records:
            if record.value is None:
                continue
            try:
                value = decode(record.value)
            except MalformedError as error:
                where = f"{record.topic} partition {record.partition} offset {record.offset}"
                raise CandlewickError(f"{where}: {error}") from error
            yield record, value
