"""The bar engine's pure core for one input partition: records in offset order in, bars out.

Only the markets that have thresholds count; the records of all others are passed over, whatever is in them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from market.bar import Bar
from market.codec import decode_marker, run_of
from market.errors import MalformedError
from market.key import MarketKey
from market.records import BareRecord
from market.timeframe import next_minute_us
from processors.bars.thresholds import BarThresholds
from processors.bars.trade_series import BarOutcome, StateKey, TradeSeries
from processors.candles.series import ALLOWED_LATENESS_US
from processors.engine.input import AHEAD_US, MOST_KEYS, check_marker, market_of, trade_in
from runtime.figures import FigureName

_THRESHOLDS_KEY = b'["thresholds"]'
SeriesKey = tuple[MarketKey, str | None]
"""A market and its run; None for the live series."""


@dataclass(frozen=True, kw_only=True)
class BarRules:
    """The rules that may be set; they stay the same for the life of a state."""

    allowed_lateness_us: int = ALLOWED_LATENESS_US
    revision_base: int = 0
    """Added to every revision, so that revisions go on rising after a topic was made anew."""


@dataclass(kw_only=True)
class BarOutputs:
    """What the records led to, in order."""

    bars: list[tuple[Bar, str | None]] = field(default_factory=list)
    """Bars, each with its run."""
    late: int = 0
    """Live trades behind the final boundary."""
    dead: list[tuple[BareRecord, MalformedError]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.bars) + len(self.dead)

    def append(self, later: "BarOutputs") -> None:
        """Put the outputs of later records behind these."""
        self.bars += later.bars
        self.late += later.late
        self.dead += later.dead

    def figures(self) -> dict[FigureName, int]:
        """How much of each kind there is."""
        return {"bars": len(self.bars), "late": self.late, "dead_letters": len(self.dead)}


class Adoption(NamedTuple):
    """Other thresholds, and the offset from which on they count."""

    thresholds: BarThresholds
    offset: int


class BarCore:
    """All series of one partition, and the offset of the next record.

    `floor_us` is set where reading began in mid-log: no live series that is not known yet begins before it, because
    the records before were not read. `awaits_floor`: the next record that is read gives it.

    Other thresholds than those of a state count from the first record on whose outputs are not committed: the records
    before it are read again, and lead to what they led to. For a market that had no bars before, this is mid-log.
    """

    def __init__(
        self,
        *,
        partition: int,
        partitions: int,
        position: int,
        rules: BarRules,
        thresholds: BarThresholds,
        awaits_floor: bool,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.position = position
        self.rules = rules
        self.thresholds = thresholds
        self.awaits_floor = awaits_floor
        self.floor_us: int | None = None
        self.adoption: Adoption | None = None
        self.series: dict[SeriesKey, TradeSeries] = {}
        self.has_new_thresholds = True
        """Whether the state does not hold the thresholds yet."""
        self._dirty: dict[SeriesKey, None] = {}
        """Series with records of the state that are not written yet."""
        self._gone: list[bytes] = []
        """Keys of the state's records that are to be cleared, of series that are no more."""
        self._markets: dict[bytes | None, MarketKey | None] = {}
        """By key; None: no bars are made of it."""

    def process(self, records: Sequence[BareRecord]) -> BarOutputs:
        """Take in records; the same records in other batches give the same outputs."""
        outputs = BarOutputs()
        for record in records:
            if self.adoption is not None and record.offset >= self.adoption.offset:
                self._adopt(self.adoption.thresholds)
            if self.awaits_floor:
                self.floor_us = next_minute_us(record.timestamp * 1000 + AHEAD_US)
                self.awaits_floor = False
            try:
                self._process(record, outputs)
            except MalformedError as error:
                outputs.dead.append((record, error))
        if records:
            self.position = records[-1].offset + 1
        return outputs

    def restore(self, values: dict[bytes, dict[str, Any]], given: BarThresholds, resumes_at: int) -> None:
        """Put in the series of a state; `given` thresholds, if they are others, count from offset `resumes_at` on."""
        self.thresholds = BarThresholds.restore(values[_THRESHOLDS_KEY]["tables"])
        self.has_new_thresholds = False
        if given != self.thresholds:
            self.adoption = Adoption(given, resumes_at)
        by_series: dict[SeriesKey, dict[StateKey, dict[str, Any]]] = defaultdict(dict)
        for raw, value in values.items():
            kind, *names = orjson.loads(raw)
            if len(names) > 1:
                key, run, *rest = names
                by_series[MarketKey.parse(key), run][kind, *rest] = value
        for (market, run), records in by_series.items():
            self.series[market, run] = TradeSeries.restore(
                market,
                run,
                self.thresholds.sizes_of(market),
                records,
                allowed_lateness_us=self.rules.allowed_lateness_us,
            )

    def changes(self) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
        """The state's records that have changed, by key (None: it is gone); they count as written then."""
        yield from ((key, None) for key in self._gone)
        if self.has_new_thresholds:
            yield _THRESHOLDS_KEY, {"tables": self.thresholds.snapshot()}
        for series_key in self._dirty:
            for key, value in self.series[series_key].records():
                yield _named(series_key, key), value
        self._gone.clear()
        self._dirty.clear()
        self.has_new_thresholds = False

    def _process(self, record: BareRecord, outputs: BarOutputs) -> None:
        market = self._market(record)
        if market is None:
            return
        if record.value is None:
            marker = decode_marker(record.headers)
            if marker is not None:
                check_marker(marker, record)
                series = self._series(market, marker.run)
                bars = series.mark(marker, record.offset + self.rules.revision_base)
                outputs.bars += ((bar, series.run) for bar in bars)
            return
        trade = trade_in(record, market)
        series = self._series(market, run_of(record.headers))
        if series.add(trade) is BarOutcome.LATE and series.run is None:
            outputs.late += 1

    def _series(self, market: MarketKey, run: str | None) -> TradeSeries:
        """The series of a record, which may change it."""
        series = self.series.get((market, run))
        if series is None:
            series = self.series[market, run] = TradeSeries(
                market,
                run,
                self.thresholds.sizes_of(market),
                allowed_lateness_us=self.rules.allowed_lateness_us,
                floor_us=self.floor_us,
            )
        self._dirty[market, run] = None
        return series

    def _market(self, record: BareRecord) -> MarketKey | None:
        """The market of the record's key; None if no bars are made of it. Each key is looked at once."""
        key = record.key
        try:
            return self._markets[key]
        except KeyError:
            pass
        named = None if key is None else MarketKey.parse(key.decode(errors="replace"))
        market = None
        if key is not None and named is not None and self.thresholds.sizes_of(named):
            market = market_of(key, self.partition, self.partitions)
        if len(self._markets) >= MOST_KEYS:
            self._markets.clear()
        self._markets[key] = market
        return market

    def _adopt(self, thresholds: BarThresholds) -> None:
        self.thresholds, self.adoption = thresholds, None
        self.has_new_thresholds = self.awaits_floor = True
        self._markets.clear()
        for series_key, series in list(self.series.items()):
            sizes = thresholds.sizes_of(series.market)
            if sizes:
                series.adopt(sizes)
                self._dirty[series_key] = None
            else:
                self._gone += dict.fromkeys(_named(series_key, key) for key in series.state_keys())
                del self.series[series_key]
                self._dirty.pop(series_key, None)


def _named(series_key: SeriesKey, key: StateKey) -> bytes:
    """The record key: ``["bar","binance:BTC-USDT",null,"tick","1000",7]``."""
    (market, run), (kind, *names) = series_key, key
    return orjson.dumps([kind, str(market), run, *names])
