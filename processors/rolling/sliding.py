"""Sliding windows: their sums from one place to the next, in a time that does not depend on their length.

A window lies over several blocks. Of the block that it leaves, the sums from each place to the block's end are kept (so
that a greatest or least value needs no search), of those between one sum, and of the newest the sum so far. A window is
then two additions, and a block is looked through twice in all: when it becomes the newest, and when it is left. This is
the queue of two stacks, with blocks in place of stacks.
"""

import math

# ruff: noqa: PLR1730, FURB136  # a call of min or max takes four times as long as a comparison
from collections.abc import Callable
from decimal import Context, Decimal

from msgspec import Struct
from msgspec.structs import replace

from processors.rolling.block import Places
from processors.rolling.sums import Sum

RETURN_PLACES = 24
"""A squared return is a whole multiple of 10^-24: so sums do not depend on their order."""
SQUARE_UNIT = 10.0**RETURN_PLACES
NEAR = 0.05
_LOGARITHMS = Context(prec=20)

PlacesOf = Callable[[int], Places]
"""Number of a block → its places."""


class Part(Struct, gc=False):
    """What a window holds of some places."""

    count: int
    """How many of the places have a sum."""
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    taker_buy_volume: int
    trades: int
    revision: int
    rank: int
    squares: int
    """The sum of the squared returns that end in these places, by `RETURN_PLACES`."""
    returns: int

    def add(self, value: Sum, square: int | None) -> None:
        """Append the sum of a place, and the squared return that ends there, if any."""
        self.count += 1
        if value.high > self.high:
            self.high = value.high
        if value.low < self.low:
            self.low = value.low
        self.close = value.close
        self.volume += value.volume
        self.quote_volume += value.quote_volume
        self.taker_buy_volume += value.taker_buy_volume
        self.trades += value.trades
        if value.revision > self.revision:
            self.revision = value.revision
        if value.rank > self.rank:
            self.rank = value.rank
        if square is not None:
            self.squares += square
            self.returns += 1


def part_of(value: Sum, square: int | None) -> Part:
    """One place."""
    return Part(
        1,
        value.open,
        value.high,
        value.low,
        value.close,
        value.volume,
        value.quote_volume,
        value.taker_buy_volume,
        value.trades,
        value.revision,
        value.rank,
        square or 0,
        int(square is not None),
    )


def both(before: Part | None, behind: Part | None) -> Part | None:
    """Two parts that follow each other as one; one that is None is empty."""
    if before is None or behind is None:
        return before or behind
    return Part(
        before.count + behind.count,
        before.open,
        before.high if before.high > behind.high else behind.high,
        before.low if before.low < behind.low else behind.low,
        behind.close,
        before.volume + behind.volume,
        before.quote_volume + behind.quote_volume,
        before.taker_buy_volume + behind.taker_buy_volume,
        before.trades + behind.trades,
        before.revision if before.revision > behind.revision else behind.revision,
        before.rank if before.rank > behind.rank else behind.rank,
        before.squares + behind.squares,
        before.returns + behind.returns,
    )


class Sliding:
    """One window of a market over the last `length` places, in blocks of `size`.

    A step ends with every `step`-th place. A return is from the close at the end of a step to that at the end of the
    next, if both are in the window.
    """

    __slots__ = (
        "_behind", "_between", "_closed", "_head", "_left", "_newest", "_next", "_parts", "_window",
        "length", "size", "step",
    )  # fmt: skip

    def __init__(self, length: int, size: int, step: int) -> None:
        self.length = length
        self.size = size
        self.step = step
        self._left = -1
        """The block that is being left."""
        self._head: list[Part | None] = []
        """From each of its places to its end."""
        self._parts: dict[int, Part | None] = {}
        """Block → the whole of it, of those between."""
        self._between: Part | None = None
        self._newest = -1
        self._behind: Part | None = None
        """Those between and the newest block's places before `_next`."""
        self._next = 0
        self._closed = -1
        """The last place of the newest window without an open one, if that is still right."""
        self._window: Part | None = None

    def forget(self, place: int) -> None:
        """Note that a place was changed."""
        if place >= self._next:
            return
        for block in {place // self.size, (place + self.step) // self.size}:
            self._parts.pop(block, None)
            if block == self._left:
                self._left = -1
        self._newest = self._closed = -1

    def until(self, last: int, places_of: PlacesOf, open_: Sum | None = None) -> Part | None:
        """The window that ends with the place `last`; with `open_`, this takes the last place.

        `last` never goes back.
        """
        out = last - self.length
        left, newest = out // self.size, last // self.size
        if newest != self._newest or left != self._left:
            self._look(left, newest, places_of)
        elif open_ is None and last == self._closed:
            return self._window
        if self._next < (end := last + (open_ is None)):
            self._append(end, places_of)
        window = both(self._head[out % self.size + 1], self._behind)
        self._head[out % self.size] = None  # never needed again
        if open_ is not None:
            square = self._square(last % self.size, open_, places_of(newest), newest, places_of)
            window = both(window, part_of(open_, square))
        if (out + 1) % self.size == 0:
            window = self._without_first(window, left + 1, places_of)
        if open_ is None:
            self._closed, self._window = last, window
        return window

    def _without_first(self, window: Part | None, block: int, places_of: PlacesOf) -> Part | None:
        """The window, which begins with this block, without the return that begins before it."""
        places = places_of(block)
        value = places[self.step - 1]
        square = None if value is None else self._square(self.step - 1, value, places, block, places_of)
        if window is None or square is None:
            return window
        return replace(window, squares=window.squares - square, returns=window.returns - 1)

    def newest_block(self, open_: Sum | None = None) -> Part | None:
        """After `until`, of a window as long as a block: its places in the newest block, without returns."""
        part = both(self._behind, None if open_ is None else part_of(open_, None))
        return None if part is None else replace(part, squares=0, returns=0)

    def _look(self, left: int, newest: int, places_of: PlacesOf) -> None:
        """Compute what does not change while the window's ends stay in these blocks."""
        if left != self._left:
            self._head = self._head_of(places_of(left))
        self._left, self._newest = left, newest
        self._parts = {block: part for block, part in self._parts.items() if left < block < newest}
        self._between = None
        for block in range(left + 1, newest):
            if block not in self._parts:
                self._parts[block] = self._whole(block, places_of)
            self._between = both(self._between, self._parts[block])
        self._behind, self._next = both(self._between, None), newest * self.size

    def _head_of(self, places: Places) -> list[Part | None]:
        """From each place to the block's end. A return counts where it begins: so none from before the place does."""
        head: list[Part | None] = [None] * (self.size + 1)
        for place in reversed(range(self.size)):
            value = places[place]
            if value is None:
                head[place] = head[place + 1]
                continue
            ends_step = (place + 1) % self.step == 0 and place + self.step < self.size
            after = places[place + self.step] if ends_step else None
            square = None if after is None else squared_return(value.close, after.close)
            head[place] = both(part_of(value, square), head[place + 1])
        return head

    def _append(self, end: int, places_of: PlacesOf) -> None:
        block = self._newest
        places = places_of(block)
        for place in range(self._next - block * self.size, end - block * self.size):
            value = places[place]
            if value is None:
                continue
            square = self._square(place, value, places, block, places_of)
            if self._behind is None or self._behind is self._between:
                self._behind = both(self._behind, part_of(value, square))
            else:
                self._behind.add(value, square)
        self._next = end

    def _whole(self, block: int, places_of: PlacesOf) -> Part | None:
        whole: Part | None = None
        places = places_of(block)
        for place, value in enumerate(places):
            if value is None:
                continue
            square = self._square(place, value, places, block, places_of)
            if whole is None:
                whole = part_of(value, square)
            else:
                whole.add(value, square)
        return whole

    def _square(self, place: int, value: Sum, places: Places, block: int, places_of: PlacesOf) -> int | None:
        """The squared return that ends with the value at this place; None if there is none."""
        if (place + 1) % self.step:
            return None
        before = places[place - self.step] if place >= self.step else places_of(block - 1)[place - self.step]
        return None if before is None else squared_return(before.close, value.close)


def squared_return(before: int, after: int) -> int:
    """ln(after / before)^2 as a whole multiple of 10^-24, the same on every machine.

    Near 1, the logarithm is the series of 2 artanh(x), in additions and products alone, which IEEE 754 rounds one way;
    C libraries differ in the last digit of `log`. Elsewhere `decimal` has it, which rounds one way too.
    """
    x = (after - before) / (after + before)  # of whole numbers: rounded once
    if abs(x) < NEAR:
        y = x * x
        log = 2 * x * (1 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y / 11)))))
    else:
        log = float(_LOGARITHMS.ln(_LOGARITHMS.divide(Decimal(after), Decimal(before))))
    return round(log * log * SQUARE_UNIT)


def volatility(part: Part) -> int | None:
    """The square root of the squared returns, as a multiple of 10^-12; None if there are fewer than two."""
    if part.returns < 2:  # noqa: PLR2004  # one return says nothing of how prices vary
        return None
    return (math.isqrt(4 * part.squares) + 1) // 2
