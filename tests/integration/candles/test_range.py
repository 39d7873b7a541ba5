"""``candlewick candles --from --until --into``: what it refuses."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from market_log import MINUTE, START

from candlewick.recompute.comparison import compare_recomputation
from candlewick.recompute.recompute import RecomputeOptions, recompute
from market.utc import utc
from processors.candles.config import CandlesConfig
from runtime.errors import UsageError
from runtime.settings import Settings


@pytest.mark.usefixtures("topics")
async def test_what_can_not_be_asked_for_is_wrong_usage(settings: Settings) -> None:
    begin, end = datetime.fromisoformat(utc(START)), datetime.fromisoformat(utc(START + MINUTE))
    for into, from_, until, wrong in (
        ("fix", None, None, "needs all of --from, --until and --into"),
        ("a.b", begin, end, "1 to 64 letters"),
        ("dlq", begin, end, "not dlq"),
        ("fix", begin, begin, "whole minutes, --from the earlier"),
        ("fix", begin + timedelta(seconds=30), end + timedelta(minutes=1), "whole minutes"),
        ("fix", datetime(1969, 1, 1, tzinfo=UTC), end, "out of range"),
    ):
        with pytest.raises(UsageError, match=wrong):
            await recompute(
                settings,
                CandlesConfig(),
                RecomputeOptions(into=into, from_=from_, until=until, lead=timedelta(minutes=1)),
                asyncio.Event(),
            )
    with pytest.raises(UsageError, match="there is no recomputation fix"):
        await compare_recomputation(settings, "fix")
