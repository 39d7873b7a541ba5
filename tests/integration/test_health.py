"""What `candlewick status` reads, over records that others wrote too."""

import orjson
from log import publish, record

from candlewick.health.gaps import gaps_of
from candlewick.health.progress import newest_markers
from market.topics import Topics
from runtime.settings import Settings

_MARKER = {"key": "binance:BTC-USDT", "complete_until_us": 1_700_000_040_000_000}


async def test_what_cannot_be_read_is_told_and_the_rest_counts(settings: Settings, topics: Topics) -> None:
    good = record(orjson.dumps(_MARKER))
    for topic in (topics.progress, topics.feeds):
        await publish(settings, topic, [record(b"not ours"), record(None), record(b"\xff"), good])
    told: list[str] = []
    assert await newest_markers(settings, told.append) == {"binance:BTC-USDT": _MARKER["complete_until_us"]}
    assert [sentence.split(":")[0].split()[-1] for sentence in told] == ["0", "2"]
    told.clear()
    assert await gaps_of(settings, told.append) == {}
    assert len(told) == 3, "a marker is no event"
