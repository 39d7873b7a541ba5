"""Neighbouring sums of one market, in places: an hour's minutes, a day's hours, a month's days.

A block is packed while it is not in use: some forty bytes a place, where Python's objects take ten times as much.
"""

import zlib
from collections.abc import Iterator
from itertools import compress

import msgspec
import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from market.candle_columns import NO_ID, NUMBERS
from market.trade import numeric_id
from market.value_text import Bools, Ints
from processors.rolling.amounts import Scale
from processors.rolling.sums import Sum, rescaled

_WHOLES = len(NUMBERS) - 2
"""The fields of a sum before its ids."""
_GREATEST = 2**63 - 1
_WIDTHS = 2 ** (8 * np.arange(8, dtype=np.uint64))  # the least number that needs one byte, two, and so on

Places = list[Sum | None]
BlockNumbers = tuple[Bools, Ints]
"""Which places of a block have a sum, and the numbers of those, a column each."""


class Block:
    """`size` places, each with a sum or None; `packed` as of `pack_numbers`."""

    __slots__ = ("_packed", "_places", "is_pinned", "size")

    def __init__(self, size: int, packed: bytes | None = None) -> None:
        self.size = size
        self.is_pinned = False
        """Whether it stays open."""
        self._places: Places | None = [None] * size if packed is None else None
        self._packed = packed

    @property
    def places(self) -> Places:
        """The sums in order; change them with `put` only."""
        if self._places is None:
            assert self._packed is not None  # noqa: S101  # one of the two is always there
            self._places = _unpacked(self._packed, self.size)
        return self._places

    @property
    def is_open(self) -> bool:
        """Whether the sums are there as objects."""
        return self._places is not None

    def numbers(self) -> BlockNumbers | None:
        """Which places have a sum, and the `NUMBERS` of those, but for the ids; None if 64 bits do not hold them."""
        if self._packed is not None:
            present, numbers, end = _unpack_numbers(self._packed, self.size)
            return (present, numbers[:_WHOLES]) if end == len(self._packed) else None
        rows = [astuple(value)[:_WHOLES] for value in self.places if value is not None]
        try:
            numbers = np.array(rows, np.int64).reshape(-1, _WHOLES).T
        except OverflowError:
            return None
        return np.array([value is not None for value in self.places]), numbers

    def put(self, place: int, value: Sum) -> bool:
        """Put a sum in. False if nothing changes: the one here has a higher revision, or is the same.

        Of two with the same revision the later one counts: an engine that closes on event time may write two.
        """
        known = self.places[place]
        if known is not None and (known.revision > value.revision or known == value):
            return False
        self.places[place] = value
        self._packed = None
        return True

    def rescale(self, before: Scale, scale: Scale) -> None:
        """Bring all sums from one scale to a finer one."""
        is_open = self.is_open
        self._places = [None if value is None else rescaled(value, before, scale) for value in self.places]
        self._packed = None
        if not is_open:
            self.pack()

    def pack(self) -> None:
        """Keep the sums in their packed form only."""
        if self._packed is None:
            self._packed = _packed(self.places)
        self._places = None


class OpenBlocks:
    """The blocks that are not packed: those that were used last, and one pinned block of each market."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: dict[Block, None] = {}  # the last used one last
        self._pinned: dict[str, Block] = {}

    def use(self, block: Block) -> Places:
        """The block's sums. It stays open until so many others were used."""
        if not block.is_pinned:
            self._recent.pop(block, None)
            self._recent[block] = None
            self._pack_oldest()
        return block.places

    def resize(self, most: int) -> None:
        """Keep so many open from now on."""
        self._most = most
        self._pack_oldest()

    def _pack_oldest(self) -> None:
        while len(self._recent) > self._most:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            oldest.pack()

    def pin(self, key: str, block: Block) -> None:
        """Keep this block of a market open, instead of the one before."""
        if block.is_pinned:
            return
        before = self._pinned.get(key)
        self._recent.pop(block, None)
        self._pinned[key] = block
        block.is_pinned = True
        if before is not None:
            before.is_pinned = False
            self.use(before)


def pack_numbers(present: Bools, numbers: Ints) -> bytes:
    """The packed form of a block: which places have a sum, and their `NUMBERS`, a row each.

    Each row as the least of its numbers, a unit, and how many units each is above the least, in so many bytes as the
    greatest needs.
    """
    least = numbers.min(1, initial=_GREATEST)
    above = numbers - least[:, None]
    units = np.gcd.reduce(above, axis=1)
    units[units == 0] = 1
    above //= units[:, None]
    widths = (np.searchsorted(_WIDTHS, above.max(1, initial=0), side="right")).astype(np.uint8)
    bytes_of_place = np.ascontiguousarray(above.T).view(np.uint8)[:, _used_bytes(widths)]
    flags = np.packbits(present, bitorder="little")
    return b"".join(column.tobytes() for column in (flags, widths, least, units, bytes_of_place))


def _unpack_numbers(packed: bytes, size: int) -> tuple[Bools, Ints, int]:
    """What `pack_numbers` was given, and where its bytes end."""
    begin = -(-size // 8)
    present = np.unpackbits(np.frombuffer(packed, np.uint8, begin), count=size, bitorder="little").view(np.bool_)
    rows = len(NUMBERS)
    widths = np.frombuffer(packed, np.uint8, rows, begin)
    begin += rows
    least, units = np.frombuffer(packed[begin : begin + 16 * rows], np.int64).reshape(2, rows)
    begin += 16 * rows
    used = _used_bytes(widths)
    count, width = int(present.sum()), len(used)
    above = np.zeros((count, 8 * rows), np.uint8)
    above[:, used] = np.frombuffer(packed, np.uint8, count * width, begin).reshape(count, width)
    return present, (above.view(np.int64) * units + least).T, begin + count * width


def _used_bytes(widths: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Which bytes of a place are written, if each of its numbers, of eight bytes, has so many."""
    return np.flatnonzero(np.arange(8) < widths[:, None])


def _packed(places: Places) -> bytes:
    """Sums whose numbers 64 bits hold by columns; behind them the others, such as those with ids of another form."""
    rows = [None if value is None else _row(value) for value in places]
    try:
        numbers = np.array([row for row in rows if row is not None], np.int64)
    except (OverflowError, TypeError):
        return _packed_apart(places, rows)
    return pack_numbers(np.array([row is not None for row in rows]), numbers.reshape(-1, len(NUMBERS)).T)


def _packed_apart(places: Places, rows: list[tuple[int | None, ...] | None]) -> bytes:
    is_usual = [row is not None and all(n is not None and n <= _GREATEST for n in row) for row in rows]
    numbers = np.array(list(compress(rows, is_usual)), np.int64)
    others = [
        (place, [str(number) for number in astuple(value)[:_WHOLES]], astuple(value)[_WHOLES:])
        for place, value in enumerate(places)
        if value is not None and not is_usual[place]
    ]
    usual = pack_numbers(np.array(is_usual), numbers.reshape(-1, len(NUMBERS)).T)
    return usual + zlib.compress(msgspec.json.encode(others))


def _row(value: Sum) -> tuple[int | None, ...]:
    """The `NUMBERS` of a sum; None in place of an id of another form."""
    return (*astuple(value)[:_WHOLES], _id_number(value.first_trade_id), _id_number(value.last_trade_id))


def _id_number(trade_id: str | None) -> int | None:
    return NO_ID if trade_id is None else numeric_id(trade_id)


def _unpacked(packed: bytes, size: int) -> Places:
    present, numbers, end = _unpack_numbers(packed, size)
    places: Places = [None] * size
    for place, value in zip(np.flatnonzero(present).tolist(), sums_of(numbers), strict=True):
        places[place] = value
    for place, wholes, ids in msgspec.json.decode(zlib.decompress(packed[end:])) if end < len(packed) else ():
        places[place] = Sum(*map(int, wholes), *ids)  # type: ignore[arg-type]
    return places


def sums_of(numbers: Ints) -> Iterator[Sum]:
    """The sums that have these `NUMBERS`, a column each."""
    *wholes, first_ids, last_ids = numbers.tolist()
    ids = ([None if number == NO_ID else str(number) for number in column] for column in (first_ids, last_ids))
    return map(Sum, *wholes, *ids)
