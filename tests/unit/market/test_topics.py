"""The topics of the design: names, retention, and what they share."""

import pytest

from market.timeframe import Timeframe
from market.topics import Topics

DAY_MS = 24 * 60 * 60 * 1000
KEPT_DAYS = {"md.trades.v1": 7, "md.trades.v1.late": 90, "md.candles.1m.v1": 90, "md.signals.v1": 90, "md.bars.v1": 90,
             "md.feeds.v1": 90, "md.funding.v1": 365, "md.trades.v1.dlq": 30, "md.candles.1m.v1.dlq": 30}  # fmt: skip
COMPACTED = {"md.tickers.v1", "md.progress.v1", "md.instruments.v1", "candlewick.candles.state.v1",
             "candlewick.bars.state.v1"}  # fmt: skip
SPECS = {spec.name: spec for spec in Topics().specs()}


def test_the_topics_are_those_of_the_design() -> None:
    candles = {f"md.candles.{timeframe.value}.v1" for timeframe in Timeframe}
    assert {name for name in SPECS if not name.endswith(".dlq")} == {
        *(name for name in KEPT_DAYS if not name.endswith(".dlq")), *COMPACTED, *candles, "md.candles.live.v1",
    }  # fmt: skip
    assert len(list(Topics().specs())) == len(SPECS)


def test_every_topic_stamps_append_time_and_has_the_same_partitions() -> None:
    assert {spec.config["message.timestamp.type"] for spec in SPECS.values()} == {"LogAppendTime"}
    assert {spec.partitions for spec in SPECS.values()} == {12}
    assert {spec.partitions for spec in Topics(partitions=3).specs()} == {3}


@pytest.mark.parametrize(("name", "days"), KEPT_DAYS.items())
def test_history_is_kept_as_long_as_promised(name: str, days: int) -> None:
    assert SPECS[name].config["cleanup.policy"] == "delete"
    assert int(SPECS[name].config["retention.ms"]) == days * DAY_MS


def test_longer_candles_are_kept_at_least_as_long_as_shorter_ones() -> None:
    kept = [int(SPECS[Topics().candles(timeframe)].config["retention.ms"]) for timeframe in Timeframe]
    assert kept == sorted(kept)


@pytest.mark.parametrize("name", sorted(COMPACTED))
def test_newest_values_are_compacted_and_never_expire(name: str) -> None:
    assert SPECS[name].config["cleanup.policy"] == "compact"
    assert "retention.ms" not in SPECS[name].config


def test_a_prefix_parts_pipelines_that_share_a_cluster() -> None:
    ours = Topics(prefix="test7.")
    assert {spec.name for spec in ours.specs()} == {f"test7.{name}" for name in SPECS}
    assert ours.group("candles") == "test7.candlewick.candles"
    assert ours.dead_letters(ours.trades) == "test7.md.trades.v1.dlq"
