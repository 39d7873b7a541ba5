"""What one page of an exchange's history holds, and what it proves. Pure.

A page proves that ids are absent only between two neighbouring rows: the exchange itself left them out. It proves
nothing before its first row or after its last one, where its rows are out of order, beside a row whose id cannot be
read, or beside an id that stands in it twice with two contents.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.trade import Trade
from producers.exchange import RefusedTrade, TradesPage


class PageRows(NamedTuple):
    """A page, read."""

    trades: list[Trade]
    """In the order of ids; if an id stands there twice, its first copy."""
    refused: list[RefusedTrade]
    absent: list[tuple[int, int]]
    """Ranges of ids, both ends inclusive, that the exchange does not have."""
    conflicts: list[int]
    """Ids that stand there with two contents."""
    first: int | None
    """The least id."""
    rows: int
    """How many rows it has."""
    begins: bool
    """Whether the page is in order and begins with the known id that was asked for, or with the id right after."""
    is_whole: bool
    """There was nothing newer when it was made: it begins as it should, is not full, and all its ids can be read."""


def read_page(known: int, page: TradesPage) -> PageRows:
    """Read the answer to a request for the ids from `known` on; what some exchanges give of before it is cut off."""
    rows = _from(known, page.rows)
    copies: dict[int, Trade | RefusedTrade] = {}
    unread: list[RefusedTrade] = []
    absent: list[tuple[int, int]] = []
    conflicts: dict[int, None] = {}
    before: int | None = None
    latest, in_order = -1, True
    for row in rows:
        number = _number(row)
        if number is None:
            unread.append(row)  # type: ignore[arg-type]  # a trade has a number
            before = None
            continue
        in_order = in_order and number >= latest
        latest = number
        first_copy = copies.setdefault(number, row)
        if _content(first_copy) != _content(row):
            conflicts[number] = None
        if before is not None and number > before + 1:
            absent.append((before + 1, number - 1))
        before = number
    begins = in_order and bool(rows) and _number(rows[0]) in (known, known + 1)
    in_id_order = [copies[number] for number in sorted(copies)]
    return PageRows(
        trades=[row for row in in_id_order if isinstance(row, Trade)],
        refused=unread + [row for row in in_id_order if isinstance(row, RefusedTrade)],
        absent=[ids for ids in absent if in_order and conflicts.keys().isdisjoint((ids[0] - 1, ids[1] + 1))],
        conflicts=list(conflicts),
        first=min(copies, default=None),
        rows=len(rows),
        begins=begins,
        is_whole=begins and page.is_whole and not unread,
    )


def _from(known: int, rows: Sequence[Trade | RefusedTrade]) -> Sequence[Trade | RefusedTrade]:
    """The rows without those at the beginning that have lower ids."""
    for index, row in enumerate(rows):
        number = _number(row)
        if number is None or number >= known:
            return rows[index:]
    return ()


def _number(row: Trade | RefusedTrade) -> int | None:
    return row.number if isinstance(row, RefusedTrade) else int(row.trade_id)


def _content(row: Trade | RefusedTrade) -> tuple[object, ...]:
    return (row.raw,) if isinstance(row, RefusedTrade) else (row.price, row.qty, row.side, row.time_us)
