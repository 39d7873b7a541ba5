"""Where the engine must not go on by itself: it stops with a sentence, changes nothing, and the way on works."""

import re
from collections.abc import Iterable

import orjson
import pytest
from candle_engine import candles_in, delete_group, delete_records, expected_candles, fill, one_pass, read_all
from kafka_commands import add_partitions, holdings, make_anew, set_config
from market_log import Log, make_log
from past_log import fill_past, minutes_ago

from candlewick.replay import Place, apply_moves, plan_moves
from market.codec import decode_candle, encode_candle, run_of
from market.records import Record
from market.topics import Topics
from processors.candles.core import Core, Rules
from processors.engine.start import EngineStartError
from processors.engine.state import VERSION, StateError
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


async def assert_stops(settings: Settings, kind: type[CandlewickError], match: str, **flags: bool) -> None:
    """It ends with exit code 1 and the sentence; no record, no control record, no offset was written."""
    before = holdings(settings)
    with pytest.raises(kind, match=match) as stop:
        await one_pass(settings, **flags)
    assert stop.value.exit_code == 1
    assert holdings(settings) == before


async def test_retention_that_passed_the_group_stops_it_and_accept_truncation_goes_on(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(7, minutes=60, start_us=minutes_ago(80))
    half = len(log.records) // 2
    await fill_past(settings, Log(records=log.records[: half // 2]))
    await one_pass(settings)
    before = await read_all(settings, topics.candles())
    await fill_past(settings, Log(records=log.records[half // 2 :]))
    cut = {partition: end + 3 for (_, partition), end in (await _offsets(settings)).items()}
    delete_records(settings, topics.trades, cut)
    await assert_stops(
        settings, EngineStartError, r"offset \d+ is no longer in the log.* 3 records.*--accept-truncation"
    )
    await one_pass(settings, accept_truncation=True)
    after = await read_all(settings, topics.candles())
    expected = [line for partition, at in cut.items() for line in await _mid_log_candles(settings, partition, at)]
    assert len(expected) > 10
    assert sorted(map(_line, after)) == sorted([*map(_line, before), *expected])
    await one_pass(settings)  # the flag was for once
    assert len(await read_all(settings, topics.candles())) == len(after)


async def test_a_group_that_expired_over_a_filled_output_stops_it_and_from_start_goes_on(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(8)
    await fill(settings, log)
    await one_pass(settings)
    before = await candles_in(settings)
    delete_group(settings, topics.group("candles"))
    await assert_stops(settings, EngineStartError, "has no offset .* --from-start")
    await one_pass(settings, from_start=True)
    assert sorted(await candles_in(settings)) == sorted(before + before)


async def test_a_topic_made_anew_stops_it_until_revisions_rise_on(settings: Settings, topics: Topics) -> None:
    old, _ = make_log(9, minutes=20)
    await fill(settings, old)
    await one_pass(settings)
    before = await read_all(settings, topics.candles())
    ends = await _offsets(settings)
    await make_anew(settings, topics.trades)
    anew = "the topic was made anew .*--revision-base"
    await assert_stops(settings, EngineStartError, anew)
    await assert_stops(settings, EngineStartError, anew, from_start=True)
    new, _ = make_log(10, minutes=40)
    await fill(settings, new)  # longer than the old one: no offset tells them apart
    grown = await _ends(settings)
    assert all(grown[partition] > end for (_, partition), end in ends.items())
    await assert_stops(settings, EngineStartError, anew, from_start=True)
    await apply_moves(settings, "candles", await plan_moves(settings, "candles", Place.EARLIEST))
    await assert_stops(settings, EngineStartError, anew)
    base = max(ends.values())
    await assert_stops(
        settings, EngineStartError, f"--revision-base {base} or more", rules=Rules(revision_base=base - 1)
    )
    await one_pass(settings, rules=Rules(revision_base=base))
    written = await read_all(settings, topics.candles())
    wanted = [line for partition in range(4) for line in await _all_candles(settings, partition, base)]
    assert sorted(map(_line, written)) == sorted([*map(_line, before), *wanted])
    revisions = [decode_candle(one.value or b"").revision for one in before]
    assert min(decode_candle(value).revision for _, value in wanted) >= max(revisions)
    await assert_stops(settings, EngineStartError, f"published with --revision-base {base}")
    await one_pass(settings, rules=Rules(revision_base=base))


async def test_a_state_of_a_newer_version_stops_it_and_its_own_version_goes_on(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(11)
    half = len(log.records) // 2
    await fill(settings, Log(records=log.records[:half]))
    await one_pass(settings)
    await fill(settings, Log(records=log.records[half:]))
    positions = [one for one in await read_all(settings, topics.state) if one.key == b'["position"]']
    newest = positions[-1]
    fields = orjson.loads(newest.value or b"")
    await _publish(settings, topics.state, newest, orjson.dumps({**fields, "v": VERSION + 1}))
    await assert_stops(settings, StateError, f"newer version .{VERSION + 1}, this one reads {VERSION}")
    await _publish(settings, topics.state, newest, newest.value or b"")  # as a version that reads it would write
    await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


async def test_another_topic_setting_stops_it_and_set_back_it_goes_on(settings: Settings, topics: Topics) -> None:
    for changed, name, wrong, right in (
        (topics.trades, "message.timestamp.type", "CreateTime", "LogAppendTime"),
        (topics.trades, "cleanup.policy", "compact", "delete"),
        (topics.state, "cleanup.policy", "delete", "compact"),
        (topics.late, "cleanup.policy", "compact", "delete"),
    ):
        await set_config(settings, changed, name, wrong)
        told = re.escape(f"{changed} has {name} = {wrong}, it must be {right}")
        await assert_stops(settings, CandlewickError, f"{told}.* set it back")
        await set_config(settings, changed, name, right)
    await one_pass(settings)


async def test_another_partition_count_stops_it(settings: Settings, topics: Topics) -> None:
    await add_partitions(settings, topics.candles(), 6)
    await assert_stops(settings, CandlewickError, r"has partitions = 6, it must be 4")


async def _offsets(settings: Settings) -> dict[tuple[str, int], int]:
    return await group_offsets(settings, settings.topics.group("candles"))


async def _ends(settings: Settings) -> dict[int, int]:
    return {at: end for (topic, at), end in holdings(settings).ends.items() if topic == settings.topics.trades}


async def _publish(settings: Settings, topic: str, like: Record, value: bytes) -> None:
    async with Publisher(settings) as publisher:
        record = Outgoing(like.key or b"", value, (), like.partition)
        await publisher.await_acknowledgements([await publisher.send(topic, record)])


async def _mid_log_candles(settings: Settings, partition: int, begin: int) -> list[tuple[str, bytes]]:
    """What the pure core makes of a partition from that offset on, having read nothing before."""
    core = Core(partition=partition, partitions=4, position=begin, rules=Rules(), awaits_floor=True)
    return _made(core, [one for one in await _trades(settings, partition) if one.offset >= begin])


async def _all_candles(settings: Settings, partition: int, base: int) -> list[tuple[str, bytes]]:
    core = Core(partition=partition, partitions=4, position=0, rules=Rules(revision_base=base), awaits_floor=False)
    return _made(core, await _trades(settings, partition))


async def _trades(settings: Settings, partition: int) -> list[Record]:
    return [one for one in await read_all(settings, settings.topics.trades) if one.partition == partition]


def _made(core: Core, records: Iterable[Record]) -> list[tuple[str, bytes]]:
    return [(run or "", encode_candle(candle)) for candle, run in core.process(list(records)).candles]


def _line(record: Record) -> tuple[str, bytes]:
    return run_of(record.headers) or "", record.value or b""
