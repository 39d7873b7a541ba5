"""The candle engine's state in `candlewick.candles.state.v1`.

Beside the positions it holds a small record per series, and one per held minute
(``["minute","binance:BTC-USDT",null,1700000000000000]``).
"""

from collections.abc import Iterator

import orjson

from market.key import MarketKey
from processors.candles.core import Core, Rules, SeriesKey
from processors.candles.minute import HeldMinute
from processors.candles.series import Series
from processors.engine.state import StoredState, checkpointed, restoring, state_value
from runtime.kafka import Outgoing


def core_of(stored: StoredState, *, partition: int, partitions: int, rules: Rules) -> Core:
    """The core as it stood at the checkpoint; unknown fields and records of unknown kinds are passed over.

    `StateError` where something is missing or broken.
    """
    with restoring(partition):
        core = Core(
            partition=partition,
            partitions=partitions,
            position=stored.position or 0,
            rules=rules,
            awaits_floor=False,
        )
        core.floor_us = stored.floor_us
        minutes: list[tuple[SeriesKey, HeldMinute]] = []
        for raw, value in stored.values.items():
            kind, *name = orjson.loads(raw)
            if kind == "series":
                key, run = name
                market = MarketKey.parse(key)
                core.series[market, run] = Series.restore(
                    market, run, value, allowed_lateness_us=rules.allowed_lateness_us
                )
            elif kind == "minute":
                key, run, open_us = name
                minutes.append(((MarketKey.parse(key), run), HeldMinute.restore(open_us, value)))
        for series_key, minute in minutes:
            core.series[series_key].insert(minute)
        return core


def changes(core: Core, topic_id: str | None = None) -> Iterator[Outgoing]:
    """A checkpoint: the records that bring the stored state up to `core`; then call `mark_clean`."""
    partition = core.partition
    yield checkpointed(
        position=core.position,
        partition=partition,
        floor_us=core.floor_us,
        topic_id=topic_id,
        revision_base=core.rules.revision_base,
    )
    for series_key in core.dirty_series:
        series = core.series[series_key]
        name = orjson.dumps([str(series.market), series.run])[1:-1]  # "binance:BTC-USDT",null
        if series.is_dirty:
            yield Outgoing(b'["series",%b]' % name, state_value(series.snapshot()), (), partition)
        for open_us in series.dirty_minutes:
            minute = series.minutes.get(open_us)
            value = None if minute is None else state_value(minute.snapshot())
            yield Outgoing(b'["minute",%b,%d]' % (name, open_us), value, (), partition)


def mark_clean(core: Core) -> None:
    """Note that all changes are written."""
    for series_key in core.dirty_series:
        series = core.series[series_key]
        series.is_dirty = False
        series.dirty_minutes.clear()
    core.dirty_series.clear()
