"""Trades of the log as an Arrow table, the one form in which they go to every columnar store. Pure.

A trade as `encode_trade` writes it, under the key of its market in the right partition, goes by columns, without an
object for each. All other records go through `decode_rows` one by one: it decides what is refused, and why.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from market.codec import decode_trade, run_of
from market.columns import TradeColumns, TradeReader
from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key
from market.partition import partition_of
from market.records import BareRecord
from market.trade import Side, Source, numeric_id
from market.value_text import Bools, Ints
from sinks.columns import PRICE, TIME, Column, decimal_column, dictionary_column, table
from sinks.encoded import Encoded, RejectedRecord
from sinks.rows import Row, decode_rows, precedence, precedences

_NAME, _LETTER = pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.string())
TRADE_ROWS: pa.Schema = pa.schema(
    [
        ("exchange", _NAME),
        ("symbol", _NAME),
        ("trade_id", pa.string()),
        ("number", pa.int64()),
        ("price", PRICE),
        ("qty", PRICE),
        ("side", _LETTER),
        ("source", _LETTER),
        ("time", TIME),
        ("received", TIME),
        ("run", _NAME),
        ("seq", pa.int64()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("precedence", pa.uint64()),
    ]
)
"""`number` is the id as a number, null if it is none (`market.trade.numeric_id`); `run` is null for live."""
_SIDES, _SOURCES = pa.array(list(Side)), pa.array(list(Source))
AT_ONCE = 8_192
"""Records whose columns stay in the processor's caches: a fifth faster than 50,000 of them."""
_MOST_KEYS = 65_536
_UNKNOWN = _LIVE = -1
_run_of = lru_cache(maxsize=1024)(run_of)  # nearly all records of a run have the same headers


def _number(row: Row) -> int | None:
    return numeric_id(row.model.trade_id)


def _precedence(row: Row) -> int:
    return precedence(row.run, row.record.offset)


_OF_TRADE = ("exchange", "symbol", "trade_id", "price", "qty", "side", "source", "seq")
_COLUMNS: dict[str, Column] = {
    **{name: attrgetter(f"model.{name}") for name in _OF_TRADE},
    "number": _number,
    "time": attrgetter("model.time_us"),
    "received": attrgetter("model.received_us"),
    "run": attrgetter("run"),
    "partition": attrgetter("partition"),
    "offset": attrgetter("record.offset"),
    "precedence": _precedence,
}


class TradeRows:
    """Reads the records of a topic with so many partitions; it remembers the markets that it has seen, nothing else."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._markets = _SeenMarkets(partitions)

    def read(self, partition: int, records: Sequence[BareRecord]) -> Encoded:
        """A partition's trades as a table of `TRADE_ROWS`, in the records' order; what is no trade of it is refused."""
        parts = [
            self._read(partition, records[first : first + AT_ONCE]) for first in range(0, len(records), AT_ONCE)
        ] or [self._read(partition, ())]
        rows = pa.concat_tables([part.chunk for part in parts]).combine_chunks()
        return Encoded(rows, rows.num_rows, [refused for part in parts for refused in part.refused])

    def usual(self, partition: int, records: Sequence[BareRecord]) -> "UsualTrades":
        """Those of a partition's records (`AT_ONCE` or fewer) that can be read by columns."""
        markets = self._markets.numbers([record.key for record in records])
        origins = _Origins.of(records)
        usual = np.flatnonzero(origins.are_legible & (self._markets.partition_of[markets] == partition))
        values = [record.value or b"" for record in records]
        if len(usual) < len(values):
            values = [values[place] for place in usual.tolist()]
        columns = self._markets.reader.read(values, markets[usual])
        if not columns.valid.all():
            usual, columns = usual[columns.valid], columns.chosen(columns.valid)
        return UsualTrades(usual, columns, markets[usual], origins.chosen(usual))

    def _read(self, partition: int, records: Sequence[BareRecord]) -> Encoded:
        usual = self.usual(partition, records)
        rows = self._table(partition, usual)
        if len(usual.places) == len(records):
            return Encoded(rows, rows.num_rows, [])
        others = np.delete(np.arange(len(records)), usual.places)
        return self._with_others(partition, rows, usual.places, [records[place] for place in others.tolist()], others)

    def _table(self, partition: int, usual: "UsualTrades") -> pa.Table:
        known, are_live = self._markets, usual.are_live
        _, columns, markets, origins = usual
        values = {
            "exchange": dictionary_column(known.exchange_of[markets], known.exchanges.values, _NAME),
            "symbol": dictionary_column(known.symbol_of[markets], known.symbols.values, _NAME),
            "trade_id": pc.cast(pa.array(columns.ids), pa.string()),
            "number": pa.array(columns.ids),
            "price": decimal_column(columns.prices, columns.price_digits),
            "qty": decimal_column(columns.qtys, columns.qty_digits),
            "side": dictionary_column(np.where(columns.buys, 0, 1), _SIDES, _LETTER),
            "source": dictionary_column(columns.sources, _SOURCES, _LETTER),
            "time": pa.array(columns.times_us, TIME),
            "received": pa.array(columns.received_us, TIME),
            "run": dictionary_column(origins.runs, origins.run_names, _NAME, absent=are_live),
            "seq": pa.nulls(len(markets), pa.int64()),
            "partition": pa.repeat(pa.scalar(partition, pa.int32()), len(markets)),
            "offset": pa.array(origins.offsets),
            "precedence": pa.array(precedences(are_live, origins.offsets)),
        }
        return pa.Table.from_arrays([values[name] for name in TRADE_ROWS.names], schema=TRADE_ROWS)

    def _with_others(
        self, partition: int, usual_rows: pa.Table, usual: Ints, others: list[BareRecord], others_at: Ints
    ) -> Encoded:
        """The rows, and those of the other records, which are read one by one, each in its place."""
        rows: list[Row] = []
        refused: list[RejectedRecord] = []
        are_rows = np.zeros(len(others), np.bool_)
        for number, record in enumerate(others):
            decoded, malformed = decode_rows(partition, [record], decode_trade, self._partitions)
            rows += decoded
            refused += malformed
            are_rows[number] = bool(decoded)
        together = pa.concat_tables([usual_rows, table(rows, TRADE_ROWS, _COLUMNS)]).combine_chunks()
        in_order = together.take(np.argsort(np.concatenate([usual, others_at[are_rows]])))
        return Encoded(in_order, in_order.num_rows, refused)


class _Texts:
    """Different texts, each at its place in an Arrow array."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._values = pa.array([], pa.string())

    def place(self, name: str) -> int:
        """The name's place, from now on."""
        return self._places.setdefault(name, len(self._places))

    @property
    def values(self) -> pa.Array:
        """All names; the same array for as long as there is no new one."""
        if len(self._values) != len(self._places):
            self._values = pa.array(self._places, pa.string())
        return self._values


class _SeenMarkets:
    """The markets whose keys were seen, each with its number in `reader`. Too many are forgotten, all at once.

    `partition_of`, `exchange_of` and `symbol_of` are by number; their last value, which is none, is for `_UNKNOWN`.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._forget()

    def numbers(self, keys: Sequence[bytes | None]) -> Ints:
        """The number of each key's market; `_UNKNOWN` if it is no market's."""
        unknown = [key for key in set(keys) if key not in self._numbers]
        if len(self._numbers) + len(unknown) > _MOST_KEYS:
            self._forget()
            unknown = list(set(keys))
        if unknown:
            self._learn(unknown)
        return np.fromiter(map(self._numbers.get, keys, repeat(_UNKNOWN)), np.int64, len(keys))

    def _learn(self, keys: Sequence[bytes | None]) -> None:
        for key in keys:
            try:
                market = MarketKey.parse((key or b"").decode())
                check_key(*market)
            except (UnicodeDecodeError, MalformedError):
                continue  # `decode_rows` will say what is wrong
            self._numbers[key] = self.reader.add(*market)
            partition = partition_of(str(market).encode(), self._partitions)
            self._facts.append((partition, self.exchanges.place(market.exchange), self.symbols.place(market.symbol)))
        self.partition_of, self.exchange_of, self.symbol_of = np.array([*self._facts, (_UNKNOWN,) * 3]).T

    def _forget(self) -> None:
        self._numbers: dict[bytes | None, int] = {}
        self._facts: list[tuple[int, int, int]] = []
        self.reader, self.exchanges, self.symbols = TradeReader(), _Texts(), _Texts()
        self._learn([])


class _Origins(NamedTuple):
    """The offsets of records, and the runs that they belong to: a place in `run_names`, or `_LIVE`."""

    offsets: Ints
    runs: Ints
    run_names: pa.Array
    are_legible: Bools
    """Whether the headers say which run it is, or that it is live."""

    @classmethod
    def of(cls, records: Sequence[BareRecord]) -> "_Origins":
        count = len(records)
        offsets = np.fromiter([record.offset for record in records], np.int64, count)
        runs, names, are_legible = np.full(count, _LIVE), _Texts(), np.ones(count, np.bool_)
        headers = [record.headers for record in records]
        for place in range(count) if any(headers) else ():
            try:
                run = _run_of(tuple(headers[place]))
            except MalformedError:
                are_legible[place] = False  # `decode_rows` will say what is wrong
            else:
                runs[place] = _LIVE if run is None else names.place(run)
        return cls(offsets, runs, names.values, are_legible)

    def chosen(self, places: Ints) -> "_Origins":
        """Those of the records at these places."""
        offsets, runs, names, are_legible = self
        return _Origins(offsets[places], runs[places], names, are_legible[places])


class UsualTrades(NamedTuple):
    """Records that can be read by columns: their places among all records, and what each holds."""

    places: Ints
    columns: TradeColumns
    markets: Ints
    origins: _Origins

    @property
    def are_live(self) -> Bools:
        """Whether each belongs to no run."""
        are_live: Bools = self.origins.runs == _LIVE
        return are_live

    def chosen(self, those: Bools) -> "UsualTrades":
        """Those that are marked so."""
        origins = self.origins.chosen(np.flatnonzero(those))
        return UsualTrades(self.places[those], self.columns.chosen(those), self.markets[those], origins)
