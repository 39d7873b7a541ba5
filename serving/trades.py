"""The latest trades out of two tiers: pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from market.candle import trade_order
from market.ids import IdRanges
from market.trade import Trade, numeric_id
from serving.planner import Tier

MAX_TRADES = 500
"""In one answer: as many as hot keeps of a market."""


class SourcedTrade(NamedTuple):
    """A trade and the tier it was taken from."""

    trade: Trade
    tier: Tier


class TradeCoverage(NamedTuple):
    """From when until when the trades are, and which ids. `id_ranges` is None where an id is no number."""

    from_us: int
    until_us: int
    id_ranges: list[tuple[int, int]] | None


def tier_to_ask(answers: Mapping[Tier, Sequence[Trade] | None], limit: int) -> Tier | None:
    """Hot; then warm, where hot is away or has fewer than were asked for; then none."""
    if Tier.HOT not in answers:
        return Tier.HOT
    enough = len(answers[Tier.HOT] or ()) >= limit
    return None if enough or Tier.WARM in answers else Tier.WARM


def latest(answers: Mapping[Tier, Sequence[Trade] | None], limit: int) -> list[SourcedTrade]:
    """The latest `limit` trades, newest first by `trade_order`, each id once, from the nearest tier that has it."""
    by_id: dict[str, SourcedTrade] = {}
    for tier in Tier:
        for trade in answers.get(tier) or ():
            by_id.setdefault(trade.trade_id, SourcedTrade(trade, tier))
    return sorted(by_id.values(), key=lambda sourced: trade_order(sourced.trade), reverse=True)[:limit]


def trade_coverage(trades: Sequence[SourcedTrade]) -> TradeCoverage | None:
    """Of trades that are newest first; None without any. `until_us` is the time after the newest."""
    if not trades:
        return None
    ranges = IdRanges()
    numbers = [numeric_id(sourced.trade.trade_id) for sourced in trades]
    for number in numbers:
        if number is not None:
            ranges.add(number)
    id_ranges = None if None in numbers else list(ranges)
    return TradeCoverage(trades[-1].trade.time_us, trades[0].trade.time_us + 1, id_ranges)
