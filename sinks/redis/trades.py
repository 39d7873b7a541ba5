"""Trades as writes of `write.lua`: read by columns, and of each market only the newest are sent. Pure.

The hot store's bytes are the log's, where they are canonical.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from market.codec import decode_trade, encode_trade
from market.records import BareRecord
from market.trade import numeric_id
from sinks.encoded import Encoded, RejectedRecord
from sinks.redis.keys import TRADES_KEPT, TRADES_TTL_S, trades_data_key, trades_key
from sinks.redis.writes import Write, WriteKind, lines
from sinks.rows import Row, decode_rows
from sinks.trade_rows import AT_ONCE, TradeRows, UsualTrades

FEW = 150
"""So few records are read faster one by one: reading by columns begins with some hundred array operations."""
_NUMBER_OF_DIGITS = [f"0{digits:02d}" for digits in range(20)]
HotTrade = tuple[int, int | str, bytes]
"""Time, id (a number where it is one) and value of a trade of one market."""


class HotTrades:
    """Reads the trades of a topic with so many partitions. As `HotTopic` says."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self._prefix = prefix
        self._partitions = partitions
        self._rows = TradeRows(partitions)

    def encode(self, partition: int, records: Sequence[BareRecord]) -> Encoded:
        """A batch as one write for each market; what is refused, and why, `decode_rows` decides.

        Of live copies of an id the first counts, of runs' copies the last (`sinks.rows.precedence`). Of a market's live
        trades the newest go. Of a run's all go: only Redis knows which of them it holds.
        """
        refused: list[RejectedRecord] = []
        live: dict[bytes, dict[int | str, HotTrade]] = defaultdict(dict)
        runs: dict[bytes, dict[int | str, HotTrade]] = defaultdict(dict)
        for first in range(0, len(records), AT_ONCE):
            columns, malformed = self._columns(partition, records[first : first + AT_ONCE])
            refused += malformed
            for key, time_us, trade_id, value, is_live in zip(*columns, strict=True):
                if is_live:
                    live[key].setdefault(trade_id, (time_us, trade_id, value))
                else:
                    runs[key][trade_id] = (time_us, trade_id, value)
        writes = [self._write(key, live.get(key, {}), runs.get(key, {})) for key in {**live, **runs}]
        return Encoded(writes, len(records) - len(refused), refused)

    def _columns(self, partition: int, records: Sequence[BareRecord]) -> tuple["_Columns", list[RejectedRecord]]:
        """The trades in the order of the log, and what is none."""
        if len(records) < FEW:
            rows, malformed = decode_rows(partition, records, decode_trade, self._partitions)
            return _in_columns(map(_of_row, rows)), malformed
        usual = self._rows.usual(partition, records)
        canonical = usual.columns.canonical
        if len(usual.places) == len(records) and canonical.all():
            return _of_usual(records, usual), []
        usual = usual.chosen(canonical)
        places = usual.places.tolist()
        columns = _of_usual([records[place] for place in places], usual)
        trades: dict[int, Any] = dict(zip(places, zip(*columns, strict=True), strict=True))
        refused: list[RejectedRecord] = []
        for place in np.delete(np.arange(len(records)), usual.places).tolist():
            rows, malformed = decode_rows(partition, [records[place]], decode_trade, self._partitions)
            if rows:
                trades[place] = _of_row(rows[0])
            refused += malformed
        return _in_columns(trades[place] for place in sorted(trades)), refused

    def _write(self, key: bytes, live: dict[int | str, HotTrade], runs: dict[int | str, HotTrade]) -> Write:
        market, trades = key.decode(), list(live.values())
        skipped = max(0, len(trades) - TRADES_KEPT)
        if skipped:
            trades = sorted(trades, key=_order)[skipped:]
        keys = (trades_key(self._prefix, market), trades_data_key(self._prefix, market))
        lists = (*_lists(trades), *_lists(list(runs.values())))
        return Write(
            WriteKind.TRADES, market, keys, TRADES_TTL_S, TRADES_KEPT, skipped, lists, len(trades), of_runs=len(runs)
        )


def trade_member(trade_id: int | str) -> str:
    """The id in a form that sorts as a text like ids do: numbers by value, and before ids that are no numbers."""
    if isinstance(trade_id, str):
        return f"1{trade_id}"
    text = str(trade_id)
    return _NUMBER_OF_DIGITS[len(text)] + text


class _Columns(NamedTuple):
    """Trades in parallel lists: an object for each would keep the garbage collector busy."""

    keys: list[bytes]
    """Record keys: ``exchange:SYMBOL``."""
    times_us: list[int]
    ids: list[int | str]
    values: list[bytes]
    are_live: list[bool]


def _in_columns(rows: Iterable[tuple[bytes, int, int | str, bytes, bool]]) -> _Columns:
    columns = list(map(list, zip(*rows, strict=True)))
    return _Columns._make(columns or [[], [], [], [], []])


def _of_usual(records: Sequence[BareRecord], usual: UsualTrades) -> _Columns:
    """The trades of these records, which are all usual."""
    return _Columns(
        [record.key or b"" for record in records],
        usual.columns.times_us.tolist(),
        usual.columns.ids.tolist(),
        [record.value or b"" for record in records],
        usual.are_live.tolist(),
    )


def _of_row(row: Row) -> tuple[bytes, int, int | str, bytes, bool]:
    """What stands of a trade in the columns."""
    trade = row.model
    number = numeric_id(trade.trade_id)
    trade_id = trade.trade_id if number is None else number
    return trade.key.encode(), trade.time_us, trade_id, encode_trade(trade), row.run is None


def _order(trade: HotTrade) -> tuple[int, bool, int | str]:
    time_us, trade_id, _ = trade
    return time_us, isinstance(trade_id, str), trade_id


def _lists(trades: Sequence[HotTrade]) -> tuple[bytes, bytes, bytes]:
    if not trades:
        return b"", b"", b""
    times_us, ids, values = zip(*trades, strict=True)
    return lines(times_us), lines(map(trade_member, ids)), b"\n".join(values)
