"""The values of a topic, decoded; this module decides what happens to a broken value."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from market.errors import MalformedError
from market.records import Record
from runtime.errors import CandlewickError
from runtime.kafka.log import read_to_end
from runtime.settings import Settings

Value = TypeVar("Value")


async def decoded(
    settings: Settings,
    topic: str,
    decode: Callable[[bytes], Value],
    *,
    broken: Callable[[str], None] | None = None,
    wait: bool = True,
) -> AsyncIterator[tuple[Record, Value]]:
    """Each record that has a value, and its decoded value, to the topic's end as it stands; `wait` as in `read_to_end`.

    A broken value is passed over, and `broken` is called with a sentence; without `broken`, raises `CandlewickError`.
    """
    async for records in read_to_end(settings, topic, wait=wait):
        for record in records:
            if record.value is None:
                continue
            try:
                value = decode(record.value)
            except MalformedError as error:
                told = f"{record.topic} partition {record.partition} offset {record.offset}: {error}"
                if broken is None:
                    raise CandlewickError(told) from error
                broken(told)
            else:
                yield record, value
