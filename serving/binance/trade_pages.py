"""Trades of a market by id or by time, page by page, out of the warm store."""

from collections.abc import AsyncIterator

from market.codec import decode_trade
from market.fields import MAX_TIME_US
from market.key import MarketKey
from market.trade import Trade
from serving.binance.trades import TradeAggregate, aggregates_of, id_of
from serving.errors import NoTierError
from serving.planner import Tier
from serving.tiers import AwayError, WarmTier
from sinks.clickhouse.read_records import Cursor, RecordKind, RecordPage

PAGE = 2_000
MOST_TRADES = 20_000
"""Read for one answer."""
_MOST_ID = 2**63 - 1

TradePages = AsyncIterator[list[Trade]]


async def pages_between(warm: WarmTier, market: MarketKey, from_ms: int, until_ms: int | None = None) -> TradePages:
    """The trades of [from_ms, until_ms), in order. Raises `NoTierError`."""
    span = {"from_ms": from_ms, "until_ms": MAX_TIME_US // 1000 if until_ms is None else until_ms}
    after: Cursor | None = None
    while True:
        page = await _page(warm, market, span, after)
        yield [decode_trade(value) for value in page.values]
        after = page.cursor
        if after is None:
            return


async def pages_from_id(warm: WarmTier, market: MarketKey, from_id: int) -> TradePages:
    """The trades with this id and greater ones, in order. Raises `NoTierError`."""
    while from_id <= _MOST_ID:
        try:
            times = await warm.times_of_ids(market, from_id=from_id, limit=PAGE)
        except AwayError as error:
            raise NoTierError([Tier.WARM]) from error
        if times is None:
            return
        trades: list[Trade] = []
        async for page in pages_between(warm, market, times.first_ms, times.last_ms + 1):
            trades += (trade for trade in page if id_of(trade) >= from_id)
            if len(trades) >= MOST_TRADES:
                break
        trades = sorted(trades, key=id_of)[:PAGE]
        if not trades:
            return
        yield trades
        from_id = id_of(trades[-1]) + 1


async def first_trades(pages: TradePages, limit: int) -> list[Trade]:
    """The first ones."""
    trades: list[Trade] = []
    async for page in pages:
        trades += page
        if len(trades) >= limit:
            break
    return trades[:limit]


async def first_aggregates(pages: TradePages, limit: int) -> list[TradeAggregate]:
    """The first ones, each whole, but for one of more than `MOST_TRADES` trades."""
    trades: list[Trade] = []
    aggregates: list[TradeAggregate] = []
    async for page in pages:
        trades += page
        aggregates = aggregates_of(trades)
        if len(aggregates) > limit:
            return aggregates[:limit]
        if len(trades) >= MOST_TRADES:
            return aggregates[:-1] or aggregates  # the next trade may belong to the last
    return aggregates[:limit]


async def _page(warm: WarmTier, market: MarketKey, span: dict[str, int], after: Cursor | None) -> RecordPage:
    try:
        return await warm.records(RecordKind.TRADES, market._asdict() | span, after=after, limit=PAGE)
    except AwayError as error:
        raise NoTierError([Tier.WARM]) from error
