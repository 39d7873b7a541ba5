"""Folds a batch of trades without a marker between them: columns in, partial folds out.

There is one `PartialFold` for each series, minute and range of ids. The arithmetic uses whole numbers (ticks and lots):
of 64 bits, or Python's own where 64 bits might not hold a sum.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from market.candle import PartialFold
from market.columns import TradeColumns
from market.decimals import EXACT
from market.timeframe import MINUTE_US
from market.value_text import MAX_DIGITS, Ints

_SAFE = float(1 << 62)  # half of what 64 bits hold: the estimate in floats may be off by a little
_SMALL = 1 << 16
_POWERS: Ints = 10 ** np.arange(MAX_DIGITS + 1, dtype=np.int64)
_UNITS = [Decimal((0, (1,), -digits)) for digits in range(2 * MAX_DIGITS + 1)]


class BatchFold(NamedTuple):
    """A partial fold of a batch: the number of its symbol, its minute, and the places of its trades in the batch."""

    symbol: int
    open_us: int
    partial: PartialFold
    places: Ints


def fold_batch(columns: TradeColumns, symbols: Ints) -> Iterator[BatchFold]:
    """The valid trades, folded. Of a repeated id the first copy counts, as when trades are taken one by one."""
    rows = np.flatnonzero(columns.valid)
    if not len(rows):
        return
    minutes, symbols = columns.times_us[rows] // MINUTE_US, symbols[rows]
    groups = _numbered(symbols, minutes)
    order = _by_group_and_id(groups, columns.ids[rows])
    groups, minutes, symbols, places = groups[order], minutes[order], symbols[order], rows[order]
    ids, times_us = columns.ids[places], columns.times_us[places]
    # Within a partial fold times rise with the ids, so that its first trade opens it and its last one closes it.
    together = (groups[1:] == groups[:-1]) & (np.diff(ids) == 1) & (times_us[1:] >= times_us[:-1])
    starts = np.flatnonzero(np.concatenate(([True], ~together)))
    ends = np.append(starts[1:], len(places))
    edges = (ids[starts], ids[ends - 1], times_us[starts], times_us[ends - 1])
    head = zip(symbols[starts].tolist(), (minutes[starts] * MINUTE_US).tolist(), strict=True)
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    figures = _figures(columns, places, starts, ends)
    for (symbol, open_us), (start, end), *edge_values, amounts in zip(
        head, spans, *(edge.tolist() for edge in edges), figures, strict=True
    ):
        yield BatchFold(symbol, open_us, PartialFold(*edge_values, *amounts), places[start:end])


def _numbered(symbols: Ints, minutes: Ints) -> Any:
    """A number for each pair, of 16 bits if possible: such numbers are sorted several times faster."""
    least = minutes.min()
    span = int(minutes.max() - least) + 1
    groups = symbols * span + (minutes - least)
    return groups.astype(np.uint16) if (int(symbols.max()) + 1) * span <= _SMALL else groups


def _by_group_and_id(groups: Any, ids: Ints) -> Ints:
    """The places, sorted by group and within a group by id, each id once."""
    order = np.argsort(groups, kind="stable")
    groups_now, ids_now = groups[order], ids[order]
    if ((groups_now[1:] == groups_now[:-1]) & (ids_now[1:] <= ids_now[:-1])).any():
        order = np.lexsort((ids, groups))
        groups_now, ids_now = groups[order], ids[order]
        repeated = (groups_now[1:] == groups_now[:-1]) & (ids_now[1:] == ids_now[:-1])
        order = order[np.concatenate(([True], ~repeated))]
    return order


def _figures(columns: TradeColumns, places: Ints, starts: Ints, ends: Ints) -> Iterator[tuple[Decimal, ...]]:
    """Open, high, low, close and the four sums of each partial fold."""
    prices, price_digits = _aligned(columns.prices[places], columns.price_digits[places], starts, ends)
    qtys, qty_digits = _aligned(columns.qtys[places], columns.qty_digits[places], starts, ends)
    greatest = (np.maximum(prices, 1).astype(np.float64) * qtys.astype(np.float64)).max()
    if greatest * float((ends - starts).max()) >= _SAFE:
        prices, qtys = prices.astype(object), qtys.astype(object)
    buys = columns.buys[places]
    turnover = prices * qtys
    taken = [np.add.reduceat(column, starts) for column in (qtys, turnover, qtys * buys, turnover * buys)]
    highs, lows = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
    of_price = [_decimals(column, price_digits) for column in (prices[starts], highs, lows, prices[ends - 1])]
    of_sums = [
        _decimals(column, digits) for column, digits in zip(taken, cycle((qty_digits, price_digits + qty_digits)))
    ]
    return zip(*of_price, *of_sums, strict=True)


def _aligned(values: Ints, digits: Ints, starts: Ints, ends: Ints) -> tuple[Any, Ints]:
    """The values, within a partial fold all with as many digits after the point as its longest; and these numbers."""
    most = np.maximum.reduceat(digits, starts)
    factors = _POWERS[np.repeat(most, ends - starts) - digits]
    if (values.astype(np.float64) * factors).max() >= _SAFE:
        values = values.astype(object)
    return values * factors, most


def _decimals(values: Any, digits: Ints) -> list[Decimal]:
    return [
        EXACT.multiply(value, _UNITS[places]) for value, places in zip(values.tolist(), digits.tolist(), strict=True)
    ]
