"""The state of partitions, rebuilt from the 1m candles before an offset by batch reads."""

from collections.abc import Mapping

from market.errors import MalformedError
from processors.rolling.core import Rolling
from runtime.kafka import ends, offsets_at, read_to_end
from runtime.settings import Settings


async def restore(settings: Settings, stops: Mapping[int, int], since_ms: int) -> dict[int, Rolling]:
    """`stops`: partition → offset of the next record to be taken in. Reads what was appended since `since_ms`."""
    topic = settings.topics.candles()
    starts = await offsets_at(settings, topic, since_ms, stops)
    firsts = {partition: first for partition, (first, _) in (await ends(settings, topic)).items()}
    restored = {partition: Rolling(partition, settings.partitions) for partition in stops}
    for rolling in restored.values():
        rolling.restoring = True
    async for records in read_to_end(settings, topic, partitions=stops, start=starts, stop=stops):
        for record in records:
            try:
                restored[record.partition].take(record)
            except MalformedError:
                continue  # it went to the dead letters when it was first read
    for partition, rolling in restored.items():
        rolling.restoring = False
        rolling.reaches_ms = 0 if starts[partition] <= firsts[partition] else since_ms
    return restored
