"""What lag and replays are told of is what the sinks read."""

from collections.abc import Callable

import pytest

from candlewick.health.lag import inputs
from runtime.settings import Settings, load_settings
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.postgres.store import PostgresStore
from sinks.redis.store import RedisStore
from sinks.store import Store

SETTINGS = load_settings(
    kafka="none:1",
    redis="redis://none",
    clickhouse="http://none",
    cold="file:///none",
    postgres="postgresql://none/none",
)


@pytest.mark.parametrize("store", [RedisStore, ClickHouseStore, ParquetStore, PostgresStore])
def test_the_topics_of_a_sink_are_those_that_its_lag_is_counted_over(store: Callable[[Settings], Store]) -> None:
    sink, topics = store(SETTINGS), SETTINGS.topics
    assert sorted(sink.topics) == sorted(inputs(topics)[f"sink.{sink.name}"])
    made = {spec.name for spec in topics.specs()}
    assert {topics.dead_letters(topic) for topic in sink.topics} <= made
