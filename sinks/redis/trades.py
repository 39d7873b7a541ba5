"""Trades as writes of `write.lua`: read by columns, and of each market only the newest are sent. Pure.

The hot store's bytes are the log's, where they are canonical.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from market.codec import decode_trade, encode_trade
from market.records import Record
from market.trade import numeric_id
from sinks.encoded import Encoded, RejectedRecord
from sinks.redis.keys import TRADES_KEPT, TRADES_TTL_S, trades_data_key, trades_key
from sinks.redis.writes import Write, WriteKind, lines
from sinks.rows import Row, decode_rows
from sinks.trade_rows import TradeRows, UsualTrades


class HotTrade(NamedTuple):
    """A trade as the hot store holds it."""

    key: bytes
    """The record key: ``exchange:SYMBOL``."""
    time_us: int
    trade_id: int | str
    """A number where it is one (`numeric_id`)."""
    value: bytes
    is_live: bool


Trades = Iterable[HotTrade]


class HotTrades:
    """Reads and writes the trades of a topic with so many partitions."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self._prefix = prefix
        self._partitions = partitions
        self._rows = TradeRows(partitions)

    def encode(self, records: Sequence[Record]) -> Encoded:
        """The trades in the order of the log; what is refused, and why, `decode_rows` decides."""
        usual = self._rows.usual(records)
        canonical = usual.columns.canonical
        places = usual.places[canonical]
        if len(places) == len(records):
            return Encoded(_of_columns(records, usual), len(records), [])
        if not canonical.all():
            usual = usual.chosen(canonical)
        trades = dict(zip(places.tolist(), _of_columns([records[place] for place in places], usual), strict=True))
        refused: list[RejectedRecord] = []
        for place in np.delete(np.arange(len(records)), places).tolist():
            rows, malformed = decode_rows([records[place]], decode_trade, self._partitions)
            if rows:
                trades[place] = _of_row(rows[0])
            refused += malformed
        return Encoded([trades[place] for place in sorted(trades)], len(trades), refused)

    def writes(self, chunks: Iterable[Trades]) -> list[Write]:
        """The trades of one batch, as one write for each market.

        Of live copies of an id the first counts, of runs' copies the last (`sinks.rows.precedence`). Of a market's live
        trades the newest go. Of a run's all go: only Redis knows which of them it holds.
        """
        live: dict[bytes, dict[int | str, HotTrade]] = defaultdict(dict)
        runs: dict[bytes, dict[int | str, HotTrade]] = defaultdict(dict)
        for trade in chain.from_iterable(chunks):
            key, _, trade_id, _, is_live = trade
            if is_live:
                live[key].setdefault(trade_id, trade)
            else:
                runs[key][trade_id] = trade
        return [self._write(key, live.get(key, {}), runs.get(key, {})) for key in {**live, **runs}]

    def _write(self, key: bytes, live: dict[int | str, HotTrade], runs: dict[int | str, HotTrade]) -> Write:
        market, trades = key.decode(), list(live.values())
        skipped = max(0, len(trades) - TRADES_KEPT)
        if skipped:
            trades = sorted(trades, key=_order)[skipped:]
        keys = (trades_key(self._prefix, market), trades_data_key(self._prefix, market))
        lists = (*_lists(trades), *_lists(list(runs.values())))
        return Write(WriteKind.TRADES, market, keys, TRADES_TTL_S, TRADES_KEPT, skipped, lists)


def trade_member(trade_id: int | str) -> str:
    """The id in a form that sorts as a text like ids do: numbers by value, and before ids that are no numbers."""
    if isinstance(trade_id, str):
        return f"1{trade_id}"
    text = str(trade_id)
    return f"0{len(text):02d}{text}"


def _of_columns(records: Sequence[Record], usual: UsualTrades) -> list[HotTrade]:
    """The trades of these records, which are all usual."""
    keys, values = [record.key for record in records], [record.value for record in records]
    times_us, ids = usual.columns.times_us.tolist(), usual.columns.ids.tolist()
    columns = zip(keys, times_us, ids, values, usual.are_live.tolist(), strict=True)
    return list(map(HotTrade._make, columns))


def _of_row(row: Row) -> HotTrade:
    trade = row.model
    number = numeric_id(trade.trade_id)
    trade_id = trade.trade_id if number is None else number
    return HotTrade(trade.key.encode(), trade.time_us, trade_id, encode_trade(trade), row.run is None)


def _order(trade: HotTrade) -> tuple[int, bool, int | str]:
    return trade[1], trade[2].__class__ is str, trade[2]  # by place: this is asked for each trade


def _lists(trades: Sequence[HotTrade]) -> tuple[bytes, bytes, bytes]:
    if not trades:
        return b"", b"", b""
    _, times_us, ids, values, _ = zip(*trades, strict=True)
    return lines(times_us), lines(map(trade_member, ids)), b"\n".join(values)
