"""The candle engine's pure core for one input partition: records in offset order in, outputs out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import repeat
from operator import attrgetter

import numpy as np

from market.candle import Candle
from market.codec import decode_marker, decode_trade, run_of, usual_form
from market.columns import Ints, TradeColumns, TradeReader
from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key
from market.partition import partition_of
from market.records import BareRecord
from market.timeframe import MINUTE_US, next_minute_us
from market.trade import Marker, Proof, Trade
from processors.candles.batch_fold import fold_batch
from processors.candles.series import ALLOWED_LATENESS_US, Series, TradeOutcome

AHEAD_US = 2 * MINUTE_US
"""How far a trade or marker may be ahead of its record's append time: one bad clock must not close minutes."""


class CloseOn(StrEnum):
    """What closes a minute."""

    MARKERS = "markers"
    EVENT_TIME = "event-time"
    """For topics that another producer fills without markers: the key's own event time less a grace."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules that may be set; the same for the life of a state."""

    allowed_lateness_us: int = ALLOWED_LATENESS_US
    close_on: CloseOn = CloseOn.MARKERS
    grace_us: int = 2_000_000
    revision_base: int = 0
    """Added to every revision: after a recreated topic it keeps them rising."""


@dataclass(kw_only=True)
class Outputs:
    """What records led to, in order."""

    candles: list[tuple[Candle, str | None]] = field(default_factory=list)
    """Candles, each with its run."""
    late: list[BareRecord] = field(default_factory=list)
    dead: list[tuple[BareRecord, MalformedError]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.candles or self.late or self.dead)


class MisplacedError(MalformedError):
    """The record's key belongs in another partition."""


class AheadError(MalformedError):
    """The record speaks of a time more than two minutes after its append time."""


_MOST_KEYS = 65_536
"""Keys remembered to be in their right partition; beyond that the memory begins anew."""

_AT_ONCE = 100
"""Trades without a marker between them that are worth taking together."""

SeriesKey = tuple[MarketKey, str | None]
"""A market and a run; live without one."""

_key, _value, _headers, _timestamp = map(attrgetter, ("key", "value", "headers", "timestamp"))


class Core:
    """All series of one partition, and the offset of the next record.

    `floor_us` is set where reading began in mid-log: what lies before was not read, so no live series begins
    before it. `awaits_floor`: it comes from the first record read.
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
        """Take records in; the same records in other batches give the same outputs."""
        outputs = Outputs()
        if records and self.awaits_floor:
            self.floor_us = next_minute_us(records[0].timestamp * 1000 + AHEAD_US)
            self.awaits_floor = False
        for batch in _batches(records):
            many = len(batch) >= _AT_ONCE and self.rules.close_on is CloseOn.MARKERS
            for record in self._take_trades(batch) if many else batch:
                try:
                    self._process(record, outputs)
                except MalformedError as error:
                    outputs.dead.append((record, error))
        if records:
            self.position = records[-1].offset + 1
        return outputs

    def _take_trades(self, records: Sequence[BareRecord]) -> Sequence[BareRecord]:
        """Fold live trades many at once; returns those that have to go one by one, in order."""
        if not self._symbols:
            return records
        symbols = np.fromiter(map(self._symbols.get, map(_key, records), repeat(-1)), np.int64, len(records))
        columns = self._columns(list(map(_value, records)), symbols)
        soonest_us = min(map(_timestamp, records)) * 1000 + AHEAD_US
        columns.valid[(symbols < 0) | (columns.times_us > soonest_us)] = False
        if not columns.valid.all():  # of two copies the first counts: a symbol's trades go one way, all of them
            columns.valid[np.isin(symbols, symbols[~columns.valid])] = False
        one_by_one = np.flatnonzero(~columns.valid).tolist()
        behind: dict[int, int] = {}
        for symbol, open_us, part, places in fold_batch(columns, symbols):
            series_key = self._live_series[symbol]
            series = self.series.get(series_key)
            newest = records[places.max()].offset + self.rules.revision_base
            if series is not None and series.add_part(open_us, part, newest):
                self.dirty_series[series_key] = None
            elif series is not None and series.final_until_us is not None and open_us < series.final_until_us:
                behind[symbol] = series.final_until_us
            else:
                one_by_one += places.tolist()
        for symbol, final_until_us in behind.items():  # each copy of a late trade is an output of its own
            one_by_one += np.flatnonzero((symbols == symbol) & (columns.times_us < final_until_us)).tolist()
        return [records[place] for place in sorted(one_by_one)]

    def _columns(self, values: list[bytes], symbols: Ints) -> TradeColumns:
        columns = self._reader.read(values, symbols)
        others = np.flatnonzero(~columns.valid)
        if len(others) >= _AT_ONCE:  # another publisher's form, perhaps
            rewritten = self._reader.read([usual_form(values[at]) for at in others.tolist()], symbols[others])
            for column, part in zip(columns, rewritten, strict=True):
                column[others] = part
        return columns

    def _process(self, record: BareRecord, outputs: Outputs) -> None:
        if record.value is None:
            marker = decode_marker(record.headers)
            if marker is not None:
                self._take_marker(marker, record, outputs)
            return
        market = self._market(record)
        trade = decode_trade(record.value)
        if trade.symbol != market.symbol or trade.exchange != market.exchange:
            raise MalformedError(f"key '{market}' over a trade of '{trade.market}'")
        if trade.time_us > record.timestamp * 1000 + AHEAD_US:
            raise AheadError(f"trade time {trade.time_us} is over two minutes after append time {record.timestamp} ms")
        series = self._series(market, run_of(record.headers))
        fate = series.add(trade, record.offset + self.rules.revision_base)
        if fate is TradeOutcome.LATE and series.run is None:
            outputs.late.append(record)
        elif fate is TradeOutcome.FOLDED:
            self.dirty_series[market, series.run] = None
        if self.rules.close_on is CloseOn.EVENT_TIME:
            self._close_on_event_time(series, trade, record, outputs)

    def _take_marker(self, marker: Marker, record: BareRecord, outputs: Outputs) -> None:
        market = self._market(record)
        if max(marker.complete_until_us, marker.published_until_us) > record.timestamp * 1000 + AHEAD_US:
            raise AheadError(
                f"marker of {marker.complete_until_us} is over two minutes after append time {record.timestamp} ms"
            )
        self._mark(self._series(market, marker.run), marker, record, outputs)

    def _mark(self, series: Series, marker: Marker, record: BareRecord, outputs: Outputs) -> None:
        candles = series.mark(marker, record.offset + self.rules.revision_base)
        outputs.candles += ((candle, series.run) for candle in candles)
        self.dirty_series[series.market, series.run] = None

    def _close_on_event_time(self, series: Series, trade: Trade, record: BareRecord, outputs: Outputs) -> None:
        """Stand in for the markers that the topic's producer does not write."""
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
        """The market of the record's key, which is held against its partition once."""
        if record.key is None:
            raise MalformedError("no key")
        market = self._markets.get(record.key)
        if market is None:
            try:
                key = record.key.decode()
            except UnicodeDecodeError as error:
                raise MalformedError(f"the key is not UTF-8: {error}") from error
            if (right := partition_of(record.key, self.partitions)) != self.partition:
                raise MisplacedError(f"key {key!r} belongs in partition {right}, not {self.partition}")
            market = MarketKey.parse(key)
            check_key(*market)
            if len(self._markets) >= _MOST_KEYS:
                self._forget_keys()
            self._markets[record.key] = market
            self._symbols[record.key] = self._reader.add(*market)
            self._live_series.append((market, None))
        return market

    def _forget_keys(self) -> None:
        self._markets: dict[bytes, MarketKey] = {}
        """By key, whose partition is right."""
        self._symbols: dict[bytes, int] = {}
        """By key, the number of its symbol with the reader, and in `_live_series`."""
        self._live_series: list[SeriesKey] = []
        self._reader = TradeReader()


def _batches(records: Sequence[BareRecord]) -> Iterator[Sequence[BareRecord]]:
    """The trades of live series between markers and trades of runs, and these one at a time."""
    if all(map(_value, records)) and not any(map(_headers, records)):
        yield records
        return
    begin = 0
    for at in [at for at, record in enumerate(records) if not record.value or record.headers]:
        if begin < at:
            yield records[begin:at]
        yield records[at : at + 1]
        begin = at + 1
    if begin < len(records):
        yield records[begin:]
