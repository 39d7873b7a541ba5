"""Recorded trades as a history: a CSV in the layout of Binance's spot `trades` dumps, replayed as it was."""

import csv
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from pathlib import Path

from market.timeframe import MINUTE_MS
from producers.simulator.history import Match
from producers.simulator.instruments import WIRE_DECIMALS, SimulatedInstrument, instrument
from runtime.errors import UsageError

MAX_RECORDED_TRADES = 2_000_000
_BOOL = {"true": True, "false": False}
_FIRST_US = 10**14
"""From here on a time is in microseconds (dumps from 2025 on): in milliseconds it would be the year 5138."""

Row = tuple[int, Decimal, Decimal, int, bool]


class RecordedHistory:
    """A recording in memory (a `TradeHistory`); an aggregate is a run of trades with one price, side and time."""

    def __init__(self, recorded: SimulatedInstrument, matches: Sequence[Match]) -> None:
        self.instrument = recorded
        self._matches = matches
        self._by_minute: dict[int, list[Match]] = {}
        for match in matches:
            self._by_minute.setdefault(match.time_ms // MINUTE_MS, []).append(match)
        self._minutes = sorted(self._by_minute)

    @property
    def start_ms(self) -> int:
        """Time of the first trade."""
        return self._matches[0].time_ms

    def minute(self, minute: int) -> Sequence[Match]:
        """See `TradeHistory`."""
        return self._by_minute.get(minute, ())

    def minute_of(self, trade_id: int) -> int | None:
        """See `TradeHistory`."""
        return self._minute_at(bisect_left(self._matches, trade_id, key=attrgetter("trade_id")))

    def minute_of_aggregate(self, aggregate_id: int) -> int | None:
        """See `TradeHistory`."""
        return self._minute_at(bisect_left(self._matches, aggregate_id, key=attrgetter("aggregate_id")))

    def minute_before(self, minute: int) -> int | None:
        """See `TradeHistory`."""
        index = bisect_left(self._minutes, minute)
        return self._minutes[index - 1] if index else None

    def _minute_at(self, index: int) -> int | None:
        return self._matches[index].time_ms // MINUTE_MS if index < len(self._matches) else None


def read_recording(path: Path, symbol: str) -> RecordedHistory:
    """The recording of `symbol` in `path`; `UsageError` names the line that is not a trade."""
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, cells in enumerate(csv.reader(file), start=1):
                if line == 1 and cells and not cells[0].isdigit():
                    continue
                rows.append(_row(path, line, cells))
                if len(rows) > MAX_RECORDED_TRADES:
                    raise UsageError(f"{path} has more than {MAX_RECORDED_TRADES} trades: replay a shorter part of it")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not rows:
        raise UsageError(f"{path} holds no trades")
    return _history(rows, symbol)


def _row(path: Path, line: int, cells: list[str]) -> Row:
    try:
        trade_id, price, qty, _, time, buyer_is_maker, _ = cells
        time_ms = int(time) // 1_000 if int(time) >= _FIRST_US else int(time)
        return int(trade_id), Decimal(price), Decimal(qty), time_ms, _BOOL[buyer_is_maker.lower()]
    except (ValueError, KeyError, InvalidOperation) as error:
        raise UsageError(
            f"{path} line {line} is not a trade (id, price, qty, quoteQty, time, isBuyerMaker, isBestMatch)"
        ) from error


def _history(rows: list[Row], symbol: str) -> RecordedHistory:
    name = instrument(symbol)
    price_decimals = max(_decimals(row[1]) for row in rows)
    qty_decimals = max(_decimals(row[2]) for row in rows)
    if max(price_decimals, qty_decimals) > WIRE_DECIMALS:
        raise UsageError(f"the recording of {symbol} has more than {WIRE_DECIMALS} decimals")
    matches: list[Match] = []
    for trade_id, price, qty, time_ms, buyer_is_maker in sorted(rows):
        ticks, lots = int(price.scaleb(price_decimals)), int(qty.scaleb(qty_decimals))
        before = matches[-1] if matches else None
        if before and time_ms < before.time_ms:
            raise UsageError(f"the recording of {symbol} goes back in time at trade {trade_id}")
        aggregate_id = before.aggregate_id if before else 1
        if before and (ticks, time_ms, buyer_is_maker) != (before.ticks, before.time_ms, before.buyer_is_maker):
            aggregate_id += 1
        matches.append(Match(trade_id, ticks, lots, time_ms, buyer_is_maker, aggregate_id))
    recorded = SimulatedInstrument(
        symbol=name.symbol,
        base=name.base,
        quote=name.quote,
        price_decimals=price_decimals,
        qty_decimals=qty_decimals,
    )
    return RecordedHistory(recorded, matches)


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise UsageError(f"{value} is not a price or quantity")
    return max(0, -exponent)
