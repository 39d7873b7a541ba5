"""A send that fails inside a transaction: nothing of it is ever read, and no offset moves."""

import pytest
from candle_engine import candles_in, expected_candles, fill, one_pass, read_all, source_of
from kafka_commands import holdings, set_config
from market_log import KEYS, Log, make_log

from market.codec import encode_trade
from market.partition import partition_of
from market.topics import Topics
from runtime.errors import UnavailableError
from runtime.settings import Settings

LIMIT = "max.message.bytes"
KEY = KEYS[0]
PARTITION = partition_of(KEY.encode(), 4)


async def test_a_failed_send_commits_nothing_and_moves_no_offset(settings: Settings, topics: Topics) -> None:
    log, truths = make_log(41)
    for trade in truths[KEY][:3]:
        log.trade(trade)  # behind the final boundary
    log.append(KEY, b"{")
    records = [record for record in log.records if record.key == KEY.encode()]  # one partition: one transaction
    await fill(settings, Log(records=records))
    outputs = (topics.candles(), topics.late, topics.dead_letters(topics.trades), topics.state)
    for refusing in (topics.candles(), topics.state):  # the first that is sent, and the last
        await set_config(settings, refusing, LIMIT, "90")
        with pytest.raises(UnavailableError, match=f"larger than its topic takes.*{LIMIT}"):
            await one_pass(settings)
        assert holdings(settings).groups == {}
        await set_config(settings, refusing, LIMIT, "1048588")
    # Records of the transactions that failed are in the log, beside the marks that end them.
    assert all(_written(settings, topic) for topic in outputs)
    await one_pass(settings)
    assert holdings(settings).groups[topics.group("candles")] == {(topics.trades, PARTITION): len(records)}
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))
    late = [record.value for record in await read_all(settings, topics.late)]
    assert late == [encode_trade(trade) for trade in truths[KEY][:3]]
    dead = await read_all(settings, topics.dead_letters(topics.trades))
    assert len(set(map(source_of, dead))) == len(dead) > 0
    assert [record.key for record in await read_all(settings, topics.state)].count(b'["position"]') == 1


def _written(settings: Settings, topic: str) -> int:
    """Records of a topic, committed, aborted and marks of their end."""
    return sum(end for (name, _), end in holdings(settings).ends.items() if name == topic)
