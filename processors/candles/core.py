"""The candle engine's pure core for one input partition: records in offset order in, outputs out.

Trades take one of two ways. Between two markers, many live trades of one market are folded at once; the others, and all
that need a closer look, are taken one by one. Both ways give the same candles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import repeat
from operator import attrgetter

import numpy as np

from market.candle import Candle
from market.codec import decode_marker, run_of, usual_form
from market.columns import TradeColumns, TradeReader
from market.errors import MalformedError
from market.key import MarketKey
from market.records import BareRecord
from market.timeframe import MINUTE_US, next_minute_us
from market.trade import Marker, Proof, Trade
from market.value_text import Ints
from processors.candles.batch_fold import fold_batch
from processors.candles.series import ALLOWED_LATENESS_US, Series, TradeOutcome
from processors.engine.input import AHEAD_US, MOST_KEYS, check_marker, market_of, trade_in
from runtime.figures import FigureName


class CloseOn(StrEnum):
    """What closes a minute."""

    MARKERS = "markers"
    EVENT_TIME = "event-time"
    """For topics that another producer fills without markers: the time of the market's trades, less a grace."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules that may be set; they stay the same for the life of a state."""

    allowed_lateness_us: int = ALLOWED_LATENESS_US
    close_on: CloseOn = CloseOn.MARKERS
    grace_us: int = 2_000_000
    revision_base: int = 0
    """Added to every revision, so that revisions go on rising after a topic was made anew."""


@dataclass(kw_only=True)
class Outputs:
    """What the records led to, in order."""

    candles: list[tuple[Candle, str | None]] = field(default_factory=list)
    """Candles, each with its run."""
    late: list[BareRecord] = field(default_factory=list)
    dead: list[tuple[BareRecord, MalformedError]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.candles) + len(self.late) + len(self.dead)

    def append(self, later: "Outputs") -> None:
        """Put the outputs of later records behind these."""
        self.candles += later.candles
        self.late += later.late
        self.dead += later.dead

    def figures(self) -> dict[FigureName, int]:
        """How much of each kind there is."""
        return {"candles": len(self.candles), "late": len(self.late), "dead_letters": len(self.dead)}


_AT_ONCE = 100
"""From this many trades between two markers on, folding them at once is faster."""

SeriesKey = tuple[MarketKey, str | None]
"""A market and its run; None for the live series."""

_key, _value, _headers, _timestamp = map(attrgetter, ("key", "value", "headers", "timestamp"))


class Core:
    """All series of one partition, and the offset of the next record.

    `floor_us` is set where reading began in mid-log: no live series begins before it, because the records before were
    not read. `awaits_floor`: the first record that is read gives it.
    """

    def __init__(self, *, partition: int, partitions: int, position: int, rules: Rules, awaits_floor: bool) -> None:
        self.partition = partition
        self.partitions = partitions
        self.position = position
        self.rules = rules
        self.awaits_floor = awaits_floor
        self.floor_us: int | None = None
        self.series: dict[SeriesKey, Series] = {}
        self.dirty_series: dict[SeriesKey, None] = {}
        """Series whose state records are not written yet, in the order in which they changed."""
        self._forget_keys()

    def process(self, records: Sequence[BareRecord]) -> Outputs:
        """Take in records; the same records in other batches give the same outputs."""
        outputs = Outputs()
        if records and self.awaits_floor:
            self.floor_us = next_minute_us(records[0].timestamp * 1000 + AHEAD_US)
            self.awaits_floor = False
        for batch in _batches(records):
            are_many = len(batch) >= _AT_ONCE and self.rules.close_on is CloseOn.MARKERS
            for record in self._fold_many(batch) if are_many else batch:
                try:
                    self._process(record, outputs)
                except MalformedError as error:
                    outputs.dead.append((record, error))
        if records:
            self.position = records[-1].offset + 1
        return outputs

    def _fold_many(self, records: Sequence[BareRecord]) -> Sequence[BareRecord]:
        """Fold live trades at once; returns the records that have to be taken one by one, in offset order.

        There are six outcomes:
        1. Nothing is known of any key yet: all records are returned.
        2. A trade is not valid as a column (another form, an unknown key, perhaps ahead of its append time): all trades
           of its market are returned, because the first of two copies of an id counts.
        3. A series takes a partial fold: its trades are in their minute.
        4. A partial fold is before the series began: its trades are in no candle, and nothing is left to do.
        5. A partial fold is behind the final boundary: all late trades of the market are returned, repeated ids too,
           because each late copy is an output.
        6. The series has not begun, or an id was in its minute already: the trades of the partial fold are returned.
        """
        if not self._symbols:
            return records
        symbols = np.fromiter(map(self._symbols.get, map(_key, records), repeat(-1)), np.int64, len(records))
        columns = self._columns(list(map(_value, records)), symbols)
        soonest_us = min(map(_timestamp, records)) * 1000 + AHEAD_US
        columns.valid[(symbols < 0) | (columns.times_us > soonest_us)] = False
        if not columns.valid.all():
            columns.valid[np.isin(symbols, symbols[~columns.valid])] = False
        one_by_one = np.flatnonzero(~columns.valid).tolist()
        late_until_us: dict[int, int] = {}
        for symbol, open_us, partial, places in fold_batch(columns, symbols):
            series_key = self._live_series[symbol]
            series = self.series.get(series_key)
            newest = records[places.max()].offset + self.rules.revision_base
            if series is not None and series.add_partial(open_us, partial, newest):
                self.dirty_series[series_key] = None
            elif series is not None and series.final_until_us is not None and open_us < series.final_until_us:
                late_until_us[symbol] = series.final_until_us
            else:
                one_by_one += places.tolist()
        for symbol, final_until_us in late_until_us.items():
            one_by_one += np.flatnonzero((symbols == symbol) & (columns.times_us < final_until_us)).tolist()
        return [records[place] for place in sorted(one_by_one)]

    def _columns(self, values: list[bytes], symbols: Ints) -> TradeColumns:
        columns = self._reader.read(values, symbols)
        others = np.flatnonzero(~columns.valid)
        if len(others) >= _AT_ONCE:  # perhaps another publisher's form
            rewritten = self._reader.read([usual_form(values[place]) for place in others.tolist()], symbols[others])
            for column, values_of_others in zip(columns, rewritten, strict=True):
                column[others] = values_of_others
        return columns

    def _process(self, record: BareRecord, outputs: Outputs) -> None:
        if record.value is None:
            marker = decode_marker(record.headers)
            if marker is not None:
                self._take_marker(marker, record, outputs)
            return
        market = self._market(record)
        trade = trade_in(record, market)
        series = self._series(market, run_of(record.headers))
        outcome = series.add(trade, record.offset + self.rules.revision_base)
        if outcome is TradeOutcome.LATE and series.run is None:
            outputs.late.append(record)
        elif outcome is TradeOutcome.FOLDED:
            self.dirty_series[market, series.run] = None
        if self.rules.close_on is CloseOn.EVENT_TIME:
            self._close_on_event_time(series, trade, record, outputs)

    def _take_marker(self, marker: Marker, record: BareRecord, outputs: Outputs) -> None:
        market = self._market(record)
        check_marker(marker, record)
        self._mark(self._series(market, marker.run), marker, record, outputs)

    def _mark(self, series: Series, marker: Marker, record: BareRecord, outputs: Outputs) -> None:
        candles = series.mark(marker, record.offset + self.rules.revision_base)
        outputs.candles += ((candle, series.run) for candle in candles)
        self.dirty_series[series.market, series.run] = None

    def _close_on_event_time(self, series: Series, trade: Trade, record: BareRecord, outputs: Outputs) -> None:
        """Make the markers that the topic's producer does not write, from the times of its trades."""
        if series.final_until_us is None:
            begin_us = next_minute_us(trade.time_us)
            begin = Marker(complete_until_us=begin_us, published_until_us=begin_us, proof=Proof.BEGIN)
            self._mark(series, begin, record, outputs)
        while (
            until_us := (series.final_until_us or 0) + series.allowed_lateness_us + MINUTE_US
        ) <= trade.time_us - self.rules.grace_us:
            marker = Marker(complete_until_us=until_us, published_until_us=until_us, proof=Proof.CONNECTION)
            self._mark(series, marker, record, outputs)

    def _series(self, market: MarketKey, run: str | None) -> Series:
        series = self.series.get((market, run))
        if series is None:
            series = Series(market, run, allowed_lateness_us=self.rules.allowed_lateness_us, floor_us=self.floor_us)
            self.series[market, run] = series
        return series

    def _market(self, record: BareRecord) -> MarketKey:
        """The market of the record's key; each key is checked once: does it belong in this partition?"""
        if record.key is None:
            raise MalformedError("no key")
        market = self._markets.get(record.key)
        if market is None:
            market = market_of(record.key, self.partition, self.partitions)
            if len(self._markets) >= MOST_KEYS:
                self._forget_keys()
            self._markets[record.key] = market
            self._symbols[record.key] = self._reader.add(*market)
            self._live_series.append((market, None))
        return market

    def _forget_keys(self) -> None:
        self._markets: dict[bytes, MarketKey] = {}
        """By key; only keys that are in their right partition."""
        self._symbols: dict[bytes, int] = {}
        """By key: the number of its symbol in the reader, and its place in `_live_series`."""
        self._live_series: list[SeriesKey] = []
        self._reader = TradeReader()


def _batches(records: Sequence[BareRecord]) -> Iterator[Sequence[BareRecord]]:
    """Live trades in batches; each marker, and each record with headers (a run's), alone between them."""
    if all(map(_value, records)) and not any(map(_headers, records)):
        yield records
        return
    begin = 0
    for place in [place for place, record in enumerate(records) if not record.value or record.headers]:
        if begin < place:
            yield records[begin:place]
        yield records[place : place + 1]
        begin = place + 1
    if begin < len(records):
        yield records[begin:]
