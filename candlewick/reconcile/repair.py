"""Minutes that differ from the exchange's klines: their trades are fetched again, as runs."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from candlewick.reading import Watch
from candlewick.reconcile.compare import ComparedSpan
from candlewick.reconcile.report import Reconciliation
from market.timeframe import MINUTE_MS
from market.utc import utc
from producers.backfill.backfill import BackfillRequest, backfill
from producers.backfill.symbol import Backfilled
from runtime.settings import Settings

JOIN_MS = 10 * MINUTE_MS
"""Spans nearer to each other are fetched together: fewer requests than to look for the second one's first trade."""
MOST_SPANS = 20
"""A market with more of them is fetched from the first to the last: each span reads the log again."""


def spans_to_fetch(spans: Sequence[ComparedSpan]) -> list[ComparedSpan]:
    """The spans, which are in order, with those that are near joined: at most `MOST_SPANS`."""
    joined: list[ComparedSpan] = []
    for span in spans:
        if joined and span.from_ms - joined[-1].until_ms <= JOIN_MS:
            joined[-1] = ComparedSpan(joined[-1].from_ms, span.until_ms)
        else:
            joined.append(span)
    return joined if len(joined) <= MOST_SPANS else [ComparedSpan(joined[0].from_ms, joined[-1].until_ms)]


async def repair(
    settings: Settings,
    exchange_name: str,
    compared: Reconciliation,
    *,
    watch: Watch,
    report: Callable[[Backfilled], None],
    stop: asyncio.Event,
) -> None:
    """Fetch the trades of all minutes that differ, also of complete ones: where contents differ, the exchange's count.

    Raises `CandlewickError` as `backfill` does.
    """
    for market in compared.markets:
        for span in spans_to_fetch(market.spans_that_differ):
            request = BackfillRequest(
                exchange=exchange_name,
                symbols=[market.key.symbol],
                from_us=span.from_ms * 1000,
                until_us=span.until_ms * 1000,
                force=True,
            )
            await backfill(settings, request, watch, report, stop)


def repair_json(result: Backfilled) -> dict[str, Any]:
    """One repaired span; `until_ms` is how far it could be reached."""
    return {
        "symbol": result.key.symbol,
        "from_ms": result.span.from_us // 1000,
        "until_ms": result.span.until_us // 1000,
        "trades": result.trades,
        "runs": result.runs,
        "out_of_reach": result.out_of_reach,
        "minutes": {proof.value: count for proof, count in result.minutes.items()},
    }


def repair_sentence(result: Backfilled) -> str:
    """One repaired span in words."""
    span = f"{result.key}: {utc(result.span.from_us)} until {utc(result.span.until_us)}"
    if result.minutes:
        proofs = ", ".join(f"{count:,} by {proof.value}" for proof, count in result.minutes.items())
        told = f"published again: {span}: {result.trades:,} trades; minutes: {proofs}"
    elif result.span.until_us < result.asked.until_us:
        told = f"not published again: {span}: runs stay 15 minutes behind live data"
    else:
        told = f"not published again: {span}"
    if result.out_of_reach:
        told += (
            f"; {result.out_of_reach:,} minutes left: the log has lost trades of them that the exchange did not give"
        )
    return told
