"""The bar engine's partitions dealt out anew again and again: each bar once, as trades and markers give it."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest
from bar_engine import assert_each_bar_once, one_bar_pass
from bar_log import FILE
from candle_engine import fill
from eventually import eventually
from market_log import Log, make_log
from members import PATIENCE_S, Member

from runtime.settings import Settings

REBALANCES = int(os.environ.get("REBALANCES", "20"))


def has_share(member: Member, partitions: int) -> bool:
    assigned = member.assignments()
    return bool(assigned) and len(assigned[-1]) == partitions


@pytest.mark.usefixtures("topics")
@pytest.mark.timeout(1200)
async def test_two_members_that_come_and_go_make_each_bar_once(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "bars.toml"
    file.write_text(FILE)
    rng = random.Random(32)
    log, _ = make_log(32, minutes=300)
    size = -(-len(log.records) // (REBALANCES + 1))
    staying, other = (Member(environment, tmp_path / f"member-{n}", command=("bars", str(file))) for n in range(2))
    try:
        await staying.start()
        await eventually(partial(has_share, staying, settings.partitions), timeout_s=PATIENCE_S)
        for n in range(REBALANCES):
            await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
            if not other.is_running:
                await other.start()
                share = settings.partitions // 2
            else:
                if rng.random() < 0.5:
                    staying, other = other, staying
                by = rng.choice((signal.SIGTERM, signal.SIGKILL))
                assert await other.end(by) == (0 if by == signal.SIGTERM else -by)
                share = settings.partitions
            await eventually(partial(has_share, staying, share), timeout_s=PATIENCE_S)
        await fill(settings, Log(records=log.records[REBALANCES * size :]))
        assert {await member.end(signal.SIGTERM) for member in (staying, other) if member.is_running} == {0}
    finally:
        for member in (staying, other):
            await member.end(signal.SIGKILL)
    await one_bar_pass(settings)
    await assert_each_bar_once(settings)
