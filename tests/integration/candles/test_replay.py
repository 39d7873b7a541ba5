"""``candlewick replay``: what it says, what it does, and when it refuses."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from candle_engine import candles_in, fill, one_pass, read_all
from eventually import eventually
from market_log import make_log
from past_log import fill_past, minutes_ago

from candlewick.cli import main
from candlewick.replay import Place, apply_moves, plan_moves, stage_of
from market.topics import Topics
from runtime.errors import CandlewickError, UsageError
from runtime.kafka import Subscription
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


async def test_a_replay_is_planned_then_done_and_gives_the_same_bytes(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(21)
    await fill(settings, log)
    await one_pass(settings)
    first, before = await candles_in(settings), await group_offsets(settings, topics.group("candles"))
    moves = await plan_moves(settings, "candles", Place.EARLIEST)
    assert await group_offsets(settings, topics.group("candles")) == before
    assert sum(move.end - move.to for move in moves) == len(log.records)
    assert {move.candles_from_us for move in moves} == {None}
    await apply_moves(settings, "candles", moves)
    await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(first + first)


async def test_a_move_into_mid_log_says_from_which_minute_candles_come(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(22)
    await fill(settings, log)
    appended_ms = {r.partition: r.timestamp for r in await read_all(settings, topics.trades) if r.offset == 7}
    moves = await plan_moves(settings, "candles", 7)
    assert appended_ms
    for move in moves:
        if move.partition in appended_ms:
            not_before_us = (appended_ms[move.partition] + 120_000) * 1000
            assert move.candles_from_us is not None
            assert not_before_us <= move.candles_from_us < not_before_us + 60_000_000
            assert move.candles_from_us % 60_000_000 == 0


async def test_an_end_a_time_and_an_offset_are_places_too(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(24, minutes=40, start_us=minutes_ago(60))
    await fill_past(settings, log)
    await one_pass(settings)
    records = await read_all(settings, topics.trades)
    length = {at: sum(record.partition == at for record in records) for at in range(settings.partitions)}
    middle_ms = records[len(records) // 2].timestamp
    before = {at: sum(r.partition == at and r.timestamp < middle_ms for r in records) for at in length}
    for to, expected in (
        (Place.LATEST, length),
        (datetime.fromtimestamp(middle_ms / 1000, UTC), before),
        (datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None), dict.fromkeys(length, 0)),
        (datetime(2100, 1, 1, tzinfo=UTC), length),
        (50, {at: min(50, end) for at, end in length.items()}),
    ):
        moves = await plan_moves(settings, "candles", to)
        assert {move.partition: move.to for move in moves} == expected
        assert all(move.again == length[move.partition] - move.to for move in moves if length[move.partition])


async def test_a_group_with_members_is_not_moved(
    settings: Settings, topics: Topics, environment: dict[str, str]
) -> None:
    log, _ = make_log(23)
    await fill(settings, log)
    await one_pass(settings)

    async def committed() -> dict[tuple[str, int], int] | None:
        """The offsets, once those of the last transactions can be seen."""
        offsets = await group_offsets(settings, topics.group("candles"))
        return offsets if sum(offsets.values()) >= len(log.records) else None

    before = await eventually(committed)
    async with Subscription(settings, group=topics.group("candles"), topics=[topics.trades]) as subscription:
        await eventually(subscription.assignment)
        with pytest.raises(CandlewickError, match="has members"):
            await apply_moves(settings, "candles", await plan_moves(settings, "candles", Place.EARLIEST))
        command = [sys.executable, "-m", "candlewick", "replay", "candles", "--to", "earliest"]
        shown, refused = [
            await asyncio.to_thread(
                subprocess.run, [*command, *more], env=environment, capture_output=True, text=True, check=False
            )
            for more in ([], ["--execute"])
        ]
    assert (shown.returncode, shown.stderr) == (0, "")
    assert topics.trades in shown.stdout, "no name is cut"
    assert refused.returncode == 1
    assert refused.stderr.startswith("candlewick: the group ")
    assert refused.stderr.count("\n") == 1, "what Kafka's client says of it is not shown"
    assert await group_offsets(settings, topics.group("candles")) == before


def test_a_wrong_group_or_place_is_wrong_usage(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"no group nobody: there is candles"):
        stage_of(settings, "nobody")
    assert stage_of(settings, settings.topics.group("sink.redis")) == "sink.redis"
    assert main(["replay", "nobody", "--to", "earliest"]) == UsageError.exit_code
    assert "no group nobody" in capsys.readouterr().err
