"""What one page of an exchange's history gives, and what it proves. Pure.

Absence is proved only between two rows that one answer gives side by side: the ids between them are the exchange's own
jump. What lies before the first row or behind the last one is not proved, nor is anything by rows out of order, around
a row whose id can't be read, or around an id that is told twice with two contents.
"""

from collections.abc import Sequence
from typing import NamedTuple

from market.trade import Trade
from producers.exchange import RefusedTrade


class PageRows(NamedTuple):
    """A page, read."""

    trades: list[Trade]
    """In the order of ids; of an id that is told twice the first copy."""
    refused: list[RefusedTrade]
    absent: list[tuple[int, int]]
    """Ranges of ids, both ends inclusive, that the exchange does not have."""
    conflicts: list[int]
    """Ids that are told with two contents."""
    first: int | None
    """The least id."""
    rows: int
    """How many the answer had."""
    begins: bool
    """Whether it begins with the known id that it was asked from, or the one right after it, and is in order."""


def read_page(known: int, rows: Sequence[Trade | RefusedTrade]) -> PageRows:
    """Read the answer to "from `known` on"."""
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
    found = [copies[number] for number in sorted(copies)]
    return PageRows(
        trades=[row for row in found if isinstance(row, Trade)],
        refused=unread + [row for row in found if isinstance(row, RefusedTrade)],
        absent=[one for one in absent if in_order and conflicts.keys().isdisjoint((one[0] - 1, one[1] + 1))],
        conflicts=list(conflicts),
        first=min(copies, default=None),
        rows=len(rows),
        begins=in_order and bool(rows) and _number(rows[0]) in (known, known + 1),
    )


def _number(row: Trade | RefusedTrade) -> int | None:
    return row.number if isinstance(row, RefusedTrade) else int(row.trade_id)


def _content(row: Trade | RefusedTrade) -> tuple[object, ...]:
    return (row.raw,) if isinstance(row, RefusedTrade) else (row.price, row.qty, row.side, row.time_us)
