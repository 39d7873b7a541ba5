"""Trades and aggregates of them, as rows. Pure.

Binance aggregates the trades of one taker order at one price and time. Which orders there were no trade tells: here,
trades that follow each other at one price, time and side are one aggregate, so two orders that are equal in these are
one too. Binance counts aggregates by ids of their own, which nobody can know from trades: the id of an aggregate is
that of its first trade. So ids rise, and ``fromId`` may be any id that was given.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from market.decimals import EXACT, ZERO, plain
from market.trade import Side, Trade, numeric_id
from serving.binance.parameters import SpotApiError


class TradeAggregate(NamedTuple):
    """Trades that follow each other at one price, time and side. Times: UTC microseconds."""

    first_id: int
    last_id: int
    price: Decimal
    qty: Decimal
    time_us: int
    side: Side


def aggregates_of(trades: Iterable[Trade]) -> list[TradeAggregate]:
    """The aggregates of trades that are in order."""
    return [
        _aggregate(list(group)) for _, group in groupby(trades, lambda trade: (trade.price, trade.time_us, trade.side))
    ]


def _aggregate(trades: Sequence[Trade]) -> TradeAggregate:
    qty = ZERO
    for trade in trades:
        qty = EXACT.add(qty, trade.qty)
    first = trades[0]
    return TradeAggregate(id_of(first), id_of(trades[-1]), first.price, qty, first.time_us, first.side)


def id_of(trade: Trade) -> int:
    """The trade's id as a number. Raises `SpotApiError`: other ids cannot be told in Binance's form."""
    number = numeric_id(trade.trade_id)
    if number is None:
        raise SpotApiError(
            -1020,
            f"This operation is not supported. The trades of {trade.key} have ids that are no numbers: ask /v1/trades "
            "or /v1/historical.",
        )
    return number


def trade_row(trade: Trade, *, is_micro: bool) -> dict[str, Any]:
    """A row of ``trades`` and ``historicalTrades``."""
    return {
        "id": id_of(trade),
        "price": plain(trade.price),
        "qty": plain(trade.qty),
        "quoteQty": plain(EXACT.multiply(trade.price, trade.qty)),
        "time": _time(trade.time_us, is_micro=is_micro),
        "isBuyerMaker": trade.side is Side.SELL,
        "isBestMatch": True,
    }


def aggregate_row(aggregate: TradeAggregate, *, is_micro: bool) -> dict[str, Any]:
    """A row of ``aggTrades``."""
    return {
        "a": aggregate.first_id,
        "p": plain(aggregate.price),
        "q": plain(aggregate.qty),
        "f": aggregate.first_id,
        "l": aggregate.last_id,
        "T": _time(aggregate.time_us, is_micro=is_micro),
        "m": aggregate.side is Side.SELL,
        "M": True,
    }


def _time(time_us: int, *, is_micro: bool) -> int:
    return time_us if is_micro else time_us // 1_000
