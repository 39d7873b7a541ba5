"""Neighbouring sums of one market, in places: an hour's minutes, a day's hours, a month's days.

A block is packed while it is not in use: some forty bytes a place, where Python's objects take ten times as much.
"""

import math
from collections.abc import Sequence
from itertools import compress

import msgspec

from market.trade import numeric_id
from processors.rolling.amounts import Scale
from processors.rolling.sums import Sum, rescaled

_NUMBERS = 11
"""The fields of a sum before its ids."""
_NO_ID = -1
_TEXT_ID = -2

Places = list[Sum | None]


class Block:
    """`size` places, each with a sum or None."""

    __slots__ = ("_packed", "_places", "is_pinned", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_pinned = False
        """Whether it stays open."""
        self._places: Places | None = [None] * size
        self._packed: bytes | None = None

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


def _packed(places: Places) -> bytes:
    present = [value is not None for value in places]
    held = [value for value in places if value is not None]
    ids = [(value.first_trade_id, value.last_trade_id) for value in held]
    numbers = [
        *zip(*(msgspec.structs.astuple(value)[:_NUMBERS] for value in held), strict=True),
        *zip(*((_number(first), _number(last)) for first, last in ids), strict=True),
    ]
    texts = [pair for pair in ids if _TEXT_ID in (_number(pair[0]), _number(pair[1]))]
    return b"".join(
        (
            sum(is_present << place for place, is_present in enumerate(present)).to_bytes(
                -(-len(places) // 8), "little"
            ),
            *map(_packed_column, numbers),
            msgspec.json.encode(texts) if texts else b"",
        )
    )


def _packed_column(numbers: Sequence[int]) -> bytes:
    """Whole numbers as the least of them, a unit, and how many units each is above the least."""
    least = min(numbers)
    above = [number - least for number in numbers]
    unit = math.gcd(*above) or 1
    width = -(-(max(above) // unit).bit_length() // 8)
    return b"".join(
        (
            bytes((width,)),
            _with_length(least + 2),  # an id's mark is negative
            _with_length(unit),
            *((number // unit).to_bytes(width, "little") for number in above),
        )
    )


def _with_length(number: int) -> bytes:
    length = -(-number.bit_length() // 8)
    return bytes((length,)) + number.to_bytes(length, "little")


def _unpacked(packed: bytes, size: int) -> Places:
    begin = -(-size // 8)
    mask = int.from_bytes(packed[:begin], "little")
    present = [mask >> place & 1 for place in range(size)]
    count = sum(present)
    places: Places = [None] * size
    if not count:
        return places
    columns: list[Sequence[int]] = []
    for _ in range(_NUMBERS + 2):
        column, begin = _unpacked_column(packed, begin, count)
        columns.append(column)
    texts = iter(msgspec.json.decode(packed[begin:]) if begin < len(packed) else ())
    for place, row in zip(compress(range(size), present), zip(*columns, strict=True), strict=True):
        *numbers, first, last = row
        ids = next(texts) if _TEXT_ID in (first, last) else (_text(first), _text(last))
        places[place] = Sum(*numbers, *ids)
    return places


def _unpacked_column(packed: bytes, begin: int, count: int) -> tuple[Sequence[int], int]:
    width = packed[begin]
    least, begin = _number_at(packed, begin + 1)
    unit, begin = _number_at(packed, begin)
    least -= 2
    if not width:
        return [least] * count, begin
    end = begin + count * width
    number = int.from_bytes
    return [least + unit * number(packed[place : place + width], "little") for place in range(begin, end, width)], end


def _number_at(packed: bytes, begin: int) -> tuple[int, int]:
    end = begin + 1 + packed[begin]
    return int.from_bytes(packed[begin + 1 : end], "little"), end


def _number(trade_id: str | None) -> int:
    if trade_id is None:
        return _NO_ID
    number = numeric_id(trade_id)
    return _TEXT_ID if number is None else number


def _text(number: int) -> str | None:
    return None if number == _NO_ID else str(number)
