"""Our own candles for a comparison: of each minute the newest revision, live or of a run."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from candlewick.reading import Watch, read_watched
from candlewick.reconcile.compare import ComparedSpan
from market.candle import Candle
from market.codec import decode_candle
from market.errors import MalformedError
from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import MINUTE_MS
from runtime.errors import UsageError
from runtime.kafka import offsets_at
from runtime.settings import Settings

MOST_MINUTES = 200_000
"""At most so many candles are in memory at once: about 250 MB, and 138 days of one market."""
CLOCKS_MS = 5 * MINUTE_MS
"""A candle is written after its minute, but the clocks of two machines may differ by so much."""


class MarketGroup(NamedTuple):
    """Markets of one partition that are read together."""

    partition: int
    keys: tuple[MarketKey, ...]


def market_groups(keys: Iterable[MarketKey], partitions: int, minutes: int) -> Iterator[MarketGroup]:
    """The markets in groups that have at most `MOST_MINUTES` candles, at `minutes` for each market.

    Raises `UsageError` where one market alone has more.
    """
    if minutes > MOST_MINUTES:
        raise UsageError(f"{minutes:,} minutes are too many for one comparison: give at most {MOST_MINUTES:,}")
    by_partition: dict[int, list[MarketKey]] = {}
    for key in keys:
        by_partition.setdefault(partition_of(str(key).encode(), partitions), []).append(key)
    size = MOST_MINUTES // minutes
    for partition, together in sorted(by_partition.items()):
        for begin in range(0, len(together), size):
            yield MarketGroup(partition, tuple(together[begin : begin + size]))


class NewestCandles:
    """The newest revision of every minute of a span, by market and open time in milliseconds."""

    def __init__(self, keys: Sequence[MarketKey], span: ComparedSpan) -> None:
        self._span = span
        self._by_record_key: dict[bytes | None, dict[int, Candle]] = {str(key).encode(): {} for key in keys}
        self.unreadable = 0
        """Records of these markets that are no candles; the sinks tell them."""

    def of(self, key: MarketKey) -> dict[int, Candle]:
        """A market's candles."""
        return self._by_record_key[str(key).encode()]

    def take(self, record_key: bytes | None, value: bytes | None) -> None:
        """Note a record of the topic."""
        minutes = self._by_record_key.get(record_key)
        if minutes is None or value is None:
            return
        try:
            candle = decode_candle(value)
        except MalformedError:
            self.unreadable += 1
            return
        if not self._span.from_ms <= candle.open_time_ms < self._span.until_ms:
            return
        known = minutes.get(candle.open_time_ms)
        if known is None or candle.revision > known.revision:
            minutes[candle.open_time_ms] = candle


async def read_newest_candles(
    settings: Settings, group: MarketGroup, span: ComparedSpan, watch: Watch
) -> NewestCandles:
    """Read `md.candles.1m.v1` to its end as it stands. Raises `UnavailableError`."""
    newest, topic = NewestCandles(group.keys, span), settings.topics.candles()
    start = await offsets_at(settings, topic, span.from_ms - CLOCKS_MS, [group.partition])
    async for records in read_watched(settings, topic, watch, partitions=[group.partition], start=start):
        for record in records:
            newest.take(record.key, record.value)
    return newest
