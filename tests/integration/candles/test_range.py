"""``candlewick candles --from --until --into``: what it refuses."""

import asyncio

import pytest
from market_log import MINUTE, START

from candlewick.recompute.comparison import compare_recomputation
from candlewick.recompute.recompute import Asked, recompute
from market.utc import utc
from processors.candles.assigned_partition import CandlesConfig
from runtime.errors import UsageError
from runtime.settings import Settings


@pytest.mark.usefixtures("topics")
async def test_what_can_not_be_asked_for_is_wrong_usage(settings: Settings) -> None:
    one, other = utc(START), utc(START + MINUTE)
    for into, from_, until, wrong in (
        ("fix", None, None, "needs all of --from, --until and --into"),
        ("a.b", one, other, "1 to 64 letters"),
        ("dlq", one, other, "not dlq"),
        ("fix", one, one, "whole minutes, --from the earlier"),
        ("fix", "2026-01-31T12:00:30Z", "2026-02-01", "whole minutes"),
        ("fix", "yesterday", other, "no time like"),
    ):
        with pytest.raises(UsageError, match=wrong):
            await recompute(
                settings, CandlesConfig(), Asked(into=into, from_=from_, until=until, lead_s=60), asyncio.Event()
            )
    with pytest.raises(UsageError, match="there is no recomputation fix"):
        await compare_recomputation(settings, "fix")
