"""An upgrade, a rollback, and records of both versions in one log, on the real Kafka."""

import next_candles
import pytest
from candle_engine import fill, one_pass, read_all
from market_log import Log
from next_version import is_grown
from two_versions import assert_exactly_once, log_of_both

from market.topics import Topics
from runtime.kafka.transaction import Transaction
from runtime.settings import Settings


async def test_an_upgrade_and_a_rollback_in_mid_stream_lose_and_repeat_nothing(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, truths = log_of_both(31, minutes=30)
    size = -(-len(log.records) // 3)
    for n in range(3):
        await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
        with monkeypatch.context() as patch:
            if n == 1:
                patch.setattr(Transaction, "send", next_candles.send)
            await one_pass(settings)
    await assert_exactly_once(settings, truths)
    by_next = [is_grown(record.value or b"") for record in await read_all(settings, topics.candles())]
    assert True in by_next
    assert by_next.count(False) > 1
