"""Candles of many records at once, at the scales of their markets (`market.candle_columns`)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from market.candle_columns import NUMBERS, PRICES, QUOTES, VOLUMES, CandleReader
from market.records import AHEAD_MS, BareRecord
from market.timeframe import Timeframe
from market.value_text import POWERS, Bools, Ints
from processors.rolling.amounts import COARSEST, Scale
from processors.rolling.block import sums_of
from processors.rolling.minute import Minute, Scales

_GREATEST = 2**63 - 1
_NO_MARKET = -1
_MOST_POWER = len(POWERS) - 1


class BatchColumns(NamedTuple):
    """The candles of a batch of records in parallel columns; where `usual` is False the other columns say nothing."""

    usual: Bools
    """Whether the record is a candle of a usual form; each of the others has to be read by itself."""
    markets: Ints
    """By the number that the reader gives them."""
    open_ms: Ints
    numbers: Ints
    """`market.candle_columns.NUMBERS`, amounts at the scale of the market."""
    keys: list[str]
    """Of all markets, by number."""

    def chosen(self, those: Bools | Ints) -> "BatchColumns":
        """The candles that are marked so, or have these numbers."""
        numbers = self.numbers[:, those]
        return BatchColumns(self.usual[those], self.markets[those], self.open_ms[those], numbers, self.keys)


class BatchReader:
    """Reads candles of one timeframe.

    `market_of` says which market a record's key names, None if it is none of this partition. `fit` is called where a
    candle needs a finer scale than its market has in `scales`, before the candle is read.
    """

    def __init__(
        self,
        timeframe: Timeframe,
        market_of: Callable[[bytes], str | None],
        scales: Scales,
        fit: Callable[[str, Scale], None],
    ) -> None:
        self.keys: list[str] = []
        """The markets, by number."""
        self._reader = CandleReader(timeframe)
        self._market_of = market_of
        self._scales = scales
        self._fit = fit
        self._markets: dict[bytes | None, int] = {}

    def read(self, records: Sequence[BareRecord]) -> BatchColumns:
        """The candles of these records."""
        markets = np.fromiter(map(self._market, records), np.int64, len(records))
        if not self.keys:
            numbers = np.empty((len(NUMBERS), len(records)), np.int64)
            return BatchColumns(np.zeros(len(records), np.bool_), markets, markets, numbers, self.keys)
        usual, open_ms, numbers, places = self._reader.read([record.value or b"" for record in records], markets)
        usual &= markets != _NO_MARKET
        usual &= self._rescale(numbers, places, markets, np.flatnonzero(usual))
        return BatchColumns(usual, markets, open_ms, numbers, self.keys)

    def minutes(self, records: Sequence[BareRecord]) -> list[Minute | None]:
        """The candles of these records as minutes, those of the markets all of whose records here are usual.

        Usual is what is live and not of the future. A record that has to be read by itself may change its market's
        scale, so it decides for all.
        """
        columns = self.read(records)
        timestamps = np.fromiter((record.timestamp for record in records), np.int64, len(records))
        has_run = np.fromiter((bool(record.headers) for record in records), np.bool_, len(records))
        usual = columns.usual & ~has_run & (columns.open_ms <= timestamps + AHEAD_MS)
        rows = np.flatnonzero(~np.isin(columns.markets, columns.markets[~usual]))
        chosen = columns.chosen(rows)
        minutes: list[Minute | None] = [None] * len(records)
        for row, market, open_ms, candle in zip(
            rows.tolist(), chosen.markets.tolist(), chosen.open_ms.tolist(), sums_of(chosen.numbers), strict=True
        ):
            key = columns.keys[market]
            minutes[row] = Minute(key, open_ms, True, candle, self._scales.get(key, COARSEST))  # noqa: FBT003
        return minutes

    def _market(self, record: BareRecord) -> int:
        market = self._markets.get(record.key)
        if market is None:
            key = self._market_of(record.key) if record.key is not None else None
            if key is None:
                return _NO_MARKET
            market = self._markets[record.key] = self._reader.add(*key.split(":", 1))
            self.keys.append(key)
        return market

    def _rescale(self, numbers: Ints, places: Ints, markets: Ints, usual: Ints) -> Bools:
        """Bring the amounts from these places to the scales of the markets. Returns for which ones 64 bits suffice."""
        scales = np.zeros((len(self.keys), 3), np.int64)
        order = np.argsort(markets[usual], kind="stable")
        those, begins = np.unique(markets[usual][order], return_index=True)
        for market in those.tolist():
            scales[market] = self._scales.get(self.keys[market], COARSEST)
        needed = scales.copy()
        if len(those):
            needed[those] = np.maximum(scales[those], np.maximum.reduceat(places.T[usual][order], begins))
        for market in np.flatnonzero((needed > scales).any(1)).tolist():
            self._fit(self.keys[market], Scale(*needed[market].tolist()))
        more = needed[markets].T - places
        fits = np.ones(len(markets), np.bool_)
        for row, fields in enumerate((PRICES, VOLUMES, QUOTES)):
            powers = POWERS[np.clip(more[row], 0, _MOST_POWER)]
            fits &= (more[row] <= _MOST_POWER) & (numbers[list(fields)].max(0) <= _GREATEST // powers)
            numbers[list(fields)] *= powers
        return fits
