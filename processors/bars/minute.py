"""One minute of a series of trades, until it is final. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from market.candle import Status
from market.ids import SeenIds
from market.trade import numeric_id
from processors.bars.bar_series import HeldTrade

ROWS = 1_000
"""At most so many held trades stand in one record of the state."""


class BarMinute:
    """A minute that is not final: its trades until it is folded, and the ids that are known of it."""

    __slots__ = ("chunks", "ids", "status", "trades", "written")

    def __init__(self) -> None:
        self.status: Status | None = None
        """The best that markers said of it; None until it is over."""
        self.ids = SeenIds()
        self.trades: list[HeldTrade] = []
        """In the order of the log; empty once it is folded."""
        self.written = 0
        """So many of the trades are in the state."""
        self.chunks: list[int] = []
        """The places at which their records begin."""

    def snapshot(self) -> dict[str, Any]:
        """The minute as JSON values. Trades that it holds have records of their own, and then ids stand in these."""
        ids, texts = ([], []) if self.trades else (list(map(list, self.ids.numbers)), sorted(self.ids.texts))
        return {"status": self.status, "ids": ids, "texts": texts}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> "BarMinute":
        """The minute of a snapshot; the caller puts its trades in."""
        minute = cls()
        minute.status = None if snapshot["status"] is None else Status(snapshot["status"])
        minute.ids = SeenIds(map(tuple, snapshot["ids"]), snapshot["texts"])
        return minute

    def put_in(self, place: int, rows: list[Any]) -> None:
        """Put in held trades of a state, in the order of their places."""
        self.chunks.append(place)
        self.trades += msgspec.convert(rows, list[HeldTrade])
        self.written = len(self.trades)
        for held in self.trades[place:]:
            self.ids.add(held.trade_id, numeric_id(held.trade_id))

    def close(self, status: Status, *, takes_back: bool) -> bool:
        """Take in what a marker says; False if nothing changes. The best counts, unless it takes back what was said."""
        if self.status is not None and self.status.rank <= status.rank and not (takes_back and status != self.status):
            return False
        self.status = status
        return True

    def unwritten(self) -> Iterator[tuple[int, list[Any]]]:
        """The held trades that came since the state was last written, as rows by place: each is written once."""
        for place in range(self.written, len(self.trades), ROWS):
            self.chunks.append(place)
            yield place, msgspec.to_builtins(self.trades[place : place + ROWS], builtin_types=(Decimal,))
        self.written = len(self.trades)

    def forget(self) -> list[int]:
        """Hold the trades no longer; returns the places of their records, which are to be cleared."""
        places = self.chunks
        self.trades, self.chunks, self.written = [], [], 0
        return places
