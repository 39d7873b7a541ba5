"""Blocks of many markets that are filled in the order of time, with many sums at once.

Each market has one block that is being filled. Its numbers lie in one array with those of all others, so that a batch
of sums is put into all blocks in some array operations. A block that is over is packed as it stands.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from market.candle_columns import NO_ID, NUMBERS
from market.value_text import Bools, Ints
from processors.rolling.block import pack_numbers, sums_of
from processors.rolling.sums import Sum

_NONE = -1
_REVISION = NUMBERS.index("revision")
_AMOUNTS = slice(NUMBERS.index("volume"), NUMBERS.index("trades") + 1)
"""Of what is added up."""
_MOST = (2**63 - 1) // 64
"""So many of no block's numbers can be added up in 64 bits."""


class FilledBlock(NamedTuple):
    """A block that is over."""

    market: int
    number: int
    packed: bytes
    whole: Sum | None
    """Of all places, if all have a sum; None also where 64 bits might not hold it."""


class FillingBlocks:
    """One block of `size` places of each market."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._number: Ints = np.empty(0, np.int64)
        """Of each market: which block is being filled."""
        self._present: Bools = np.empty((0, size), np.bool_)
        self._numbers: Ints = np.empty((len(NUMBERS), 0, size), np.int64)

    def make_room(self, markets: int) -> None:
        """Make room for so many markets, which are counted from 0 on."""
        if (more := markets - len(self._number)) > 0:
            self._number = np.pad(self._number, (0, more), constant_values=_NONE)
            self._numbers = np.pad(self._numbers, ((0, 0), (0, more), (0, 0)))
            self._present = np.pad(self._present, ((0, more), (0, 0)))

    def put(self, markets: Ints, blocks: Ints, places: Ints, numbers: Ints) -> tuple[list[FilledBlock], list[int]]:
        """Put sums in, in the order of the log: the market, block and place of each, and a column of its numbers.

        Of two sums for a place that with the greater revision counts, or the later one. Returns the blocks that are
        over now; and which of these sums are of an earlier block of their market: those are not put in.
        """
        filled: list[FilledBlock] = []
        late: list[int] = []
        for block in np.unique(blocks):
            rows = np.flatnonzero(blocks == block)
            behind = self._number[markets[rows]] - block
            late += rows[behind > 0].tolist()
            begun = np.unique(markets[rows[behind < 0]])
            filled += self.take_out(begun)
            self._number[begun] = block
            rows = rows[behind <= 0]
            self._put(markets[rows], places[rows], numbers[:, rows])
        return filled, late

    def _put(self, markets: Ints, places: Ints, numbers: Ints) -> None:
        cells = markets * self._size + places
        order = np.lexsort((numbers[_REVISION], cells))  # stable: of equal revisions the later one is last
        rows = order[np.diff(cells[order], append=_NONE) != 0]  # the last one of each cell
        markets, places = markets[rows], places[rows]
        is_older = self._present[markets, places] & (
            self._numbers[_REVISION, markets, places] > numbers[_REVISION, rows]
        )
        rows, markets, places = rows[~is_older], markets[~is_older], places[~is_older]
        self._numbers[:, markets, places] = numbers[:, rows]
        self._present[markets, places] = True

    def take_out(self, markets: Ints | None = None) -> Iterator[FilledBlock]:
        """The blocks of these markets (default: all), as far as they are filled; new ones begin."""
        markets = np.arange(len(self._number)) if markets is None else markets
        markets = markets[self._number[markets] != _NONE]
        present, numbers = self._present[markets], self._numbers[:, markets]
        is_whole = present.all(1) & (numbers[_AMOUNTS].max((0, 2), initial=0) <= _MOST)
        wholes = sums_of(_joined(numbers[:, is_whole]))
        for row, market in enumerate(markets.tolist()):
            packed = pack_numbers(present[row], numbers[:, row, present[row]])
            yield FilledBlock(market, int(self._number[market]), packed, next(wholes) if is_whole[row] else None)
        self._number[markets] = _NONE
        self._present[markets] = False


def _joined(numbers: Ints) -> Ints:
    """As `processors.rolling.sums.joined`, of several blocks: numbers by block and place to numbers by block."""
    opened, high, low, close, *amounts, trades, revision, rank, first_ids, last_ids = numbers
    with_id = first_ids != NO_ID
    blocks = np.arange(numbers.shape[1])
    first = first_ids[blocks, with_id.argmax(1)]
    last = np.where(with_id.any(1), last_ids[blocks, numbers.shape[2] - 1 - with_id[:, ::-1].argmax(1)], NO_ID)
    sums = [amount.sum(1) for amount in (*amounts, trades)]
    return np.stack(
        [opened[:, 0], high.max(1), low.min(1), close[:, -1], *sums, revision.max(1), rank.max(1), first, last]
    )
