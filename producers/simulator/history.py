"""A market's whole past and future as a pure function of (seed, symbol, time): random access, no state.

Each day of a market holds the same number of *blocks* of sixteen aggregate trades, and each block twenty-four trades,
so that ids are contiguous and an id's day is a division. Within a day a cascade halves the time again and again, and
deals the aggregates to the halves unevenly (bursts at every scale); the same descent displaces the midpoints of the
price's path. Within a minute, hashed words give each aggregate its time, side and price, and its trades their sizes.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import isqrt
from typing import NamedTuple, Protocol

from msgspec import Struct

from market.timeframe import DAY_MS, MINUTE_MS
from producers.simulator.hashing import key_of, mix, words
from producers.simulator.instruments import BLOCK_AGGREGATES, BLOCK_TRADES, SimulatedInstrument

DAY_MINUTES = DAY_MS // MINUTE_MS
_KEPT_MINUTES = 4

# How many trades each aggregate of a block has, in 32 arrangements: a hash of the block's number picks one.
_SIZES = (1, 1, 2, 1, 1, 1, 5, 1, 1, 1, 1, 3, 1, 1, 2, 1)
_ARRANGEMENTS = tuple((row[turn:] + row[:turn]) for row in (_SIZES, _SIZES[::-1]) for turn in range(BLOCK_AGGREGATES))
_BEFORE = tuple(tuple(sum(row[:index]) for index in range(BLOCK_AGGREGATES)) for row in _ARRANGEMENTS)
_HOLDER = tuple(tuple(index for index, size in enumerate(row) for _ in range(size)) for row in _ARRANGEMENTS)


class Match(Struct, frozen=True, gc=False):
    """One trade as the exchange has it: price in ticks, quantity in lots, time in UTC milliseconds.

    `buyer_is_maker` is Binance's ``m``: the buyer's order stood in the book, so the taker sold.
    """

    trade_id: int
    ticks: int
    lots: int
    time_ms: int
    buyer_is_maker: bool
    aggregate_id: int


class TradeHistory(Protocol):
    """What the exchange knows of one market. Minutes are counted from the epoch; ids rise with time."""

    instrument: SimulatedInstrument

    def minute(self, minute: int) -> Sequence[Match]:
        """The trades of a minute in order of id."""

    def minute_of(self, trade_id: int) -> int | None:
        """The minute of the first trade at or after that id; None: there is no such trade."""

    def minute_of_aggregate(self, aggregate_id: int) -> int | None:
        """The same for an aggregate trade's id."""

    def minute_before(self, minute: int) -> int | None:
        """The nearest earlier minute with trades; None: there is no such minute."""


class _Slot(NamedTuple):
    """A minute as the cascade leaves it: its aggregates are `first` … `first` + `size` - 1 of the day."""

    minute: int
    first: int
    size: int
    open_ticks: int
    close_ticks: int


class GeneratedHistory:
    """The history that a seed gives a market (a `TradeHistory`)."""

    def __init__(self, seed: int, instrument: SimulatedInstrument) -> None:
        self.instrument = instrument
        self._key = key_of("history", seed, instrument.symbol)
        self._aggregates_per_day = instrument.blocks_per_day * BLOCK_AGGREGATES
        self.minute = lru_cache(_KEPT_MINUTES)(self._generate)

    def minute_of(self, trade_id: int) -> int:
        """See `TradeHistory`."""
        block, within = divmod(max(trade_id, 1) - 1, BLOCK_TRADES)
        return self.minute_of_aggregate(block * BLOCK_AGGREGATES + _HOLDER[self._arrangement(block)][within] + 1)

    def minute_of_aggregate(self, aggregate_id: int) -> int:
        """See `TradeHistory`."""
        day, position = divmod(max(aggregate_id, 1) - 1, self._aggregates_per_day)
        return day * DAY_MINUTES + self._slot(day, position=position).minute

    def minute_before(self, minute: int) -> int | None:
        """See `TradeHistory`."""
        day, within = divmod(minute, DAY_MINUTES)
        before = day * self._aggregates_per_day + self._slot(day, minute=within).first
        return self.minute_of_aggregate(before) if before > 0 else None

    def _generate(self, minute: int) -> tuple[Match, ...]:
        day, within = divmod(minute, DAY_MINUTES)
        slot = self._slot(day, minute=within)
        if minute < 0 or not slot.size:
            return ()
        aggregate = day * self._aggregates_per_day + slot.first
        block, index = divmod(aggregate, BLOCK_AGGREGATES)
        arrangement = self._arrangement(block)
        trade_id = 1 + block * BLOCK_TRADES + _BEFORE[arrangement][index]
        sizes = _ARRANGEMENTS[arrangement]
        typical_lots = self.instrument.typical_lots
        matches = []
        for word, (time_ms, ticks, buyer_is_maker) in self._aggregates(minute, slot):
            if index == BLOCK_AGGREGATES:
                block, index = block + 1, 0
                sizes = _ARRANGEMENTS[self._arrangement(block)]
            aggregate += 1
            for _ in range(sizes[index]):
                lots = _lots(word, typical_lots)
                matches.append(Match(trade_id, ticks, lots, time_ms, buyer_is_maker, aggregate))
                trade_id += 1
                word = mix(word)  # noqa: PLW2901  # the next trade's chance is drawn from this one's
            index += 1
        return tuple(matches)

    def _aggregates(self, minute: int, slot: _Slot) -> list[tuple[int, tuple[int, int, bool]]]:
        """Of each aggregate its chance, and (time, ticks, side). A quarter continue the taker order before them."""
        unit = max(1, self.instrument.typical_ticks // 20_000)
        start_ms, drift = minute * MINUTE_MS, slot.close_ticks - slot.open_ticks
        time_ms, ticks, buyer_is_maker = start_ms, slot.open_ticks, False
        aggregates = []
        # Sorted words are sorted times: the time is in the upper bits, all else in the lower.
        for index, word in enumerate(sorted(words(mix(self._key ^ minute), slot.size))):
            if index and not word & 3:
                ticks = max(1, ticks - unit if buyer_is_maker else ticks + unit)
            else:
                time_ms = start_ms + ((word >> 44) * MINUTE_MS >> 20)
                buyer_is_maker = bool(word & 4)
                half_spread = -unit if buyer_is_maker else unit
                wobble = ((word >> 3 & 15) - 7) * unit >> 1
                ticks = max(1, slot.open_ticks + drift * index // slot.size + half_spread + wobble)
            aggregates.append((mix(word), (time_ms, ticks, buyer_is_maker)))
        return aggregates

    def _arrangement(self, block: int) -> int:
        return mix(self._key + block) % len(_ARRANGEMENTS)

    def _slot(self, day: int, *, minute: int = -1, position: int = -1) -> _Slot:
        """Descend the day's cascade to a minute, or to the minute that holds the day's aggregate at `position`."""
        day_key = mix(self._key ^ (day << 20))
        low, high = 0, DAY_MINUTES
        first, count = 0, self._aggregates_per_day
        open_ticks, close_ticks = self._anchor(day), self._anchor(day + 1)
        node = 1
        while high - low > 1:
            chance = mix(day_key + node)
            middle = (low + high) // 2
            left = _left_share(count, middle - low, high - low, chance)
            middle_ticks = self._displaced((open_ticks + close_ticks) // 2, high - low, chance >> 40)
            if minute < middle if position < 0 else position < first + left:
                high, count, close_ticks, node = middle, left, middle_ticks, 2 * node
            else:
                low, open_ticks, node = middle, middle_ticks, 2 * node + 1
                first, count = first + left, count - left
        return _Slot(low, first, count, open_ticks, close_ticks)

    def _anchor(self, day: int) -> int:
        """The price at a day's start: within 4 % of the typical one."""
        return max(1, self.instrument.typical_ticks * (9_600 + mix(self._key + (day << 32)) % 801) // 10_000)

    def _displaced(self, ticks: int, minutes: int, chance: int) -> int:
        """A midpoint moved by up to 6 basis points times the root of the minutes it lies between."""
        swing = (chance & 1023) - 512
        return max(1, ticks + self.instrument.typical_ticks * isqrt(minutes) * swing * 6 // (512 * 10_000))


def _left_share(count: int, left_minutes: int, minutes: int, chance: int) -> int:
    """How many of `count` fall into the left part: by its length, give or take 10 % (hours) or 50 % (below)."""
    spread = 100 if minutes > 64 else 500  # noqa: PLR2004  # about an hour
    weight = left_minutes * (1_000 - spread + (chance & 0xFFFF) * 2 * spread // 0xFFFF)
    whole = minutes * 1_000
    return min(count, (count * weight + (chance >> 16 & 0xFFFFFF) % whole) // whole)


def _lots(chance: int, typical: int) -> int:
    """A heavy-tailed quantity: Pareto with exponent one around `typical`, cut at some thousand times that."""
    tail = min(65_536 // ((chance & 0xFFFF) + 1), 4_096)
    return 1 + (typical * tail * (256 + (chance >> 16 & 0xFF)) >> 9)
