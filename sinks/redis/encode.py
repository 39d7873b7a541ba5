"""Records of every topic but the trades', as changes and then as writes of `write.lua`. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from market.bar import Bar
from market.candle import Candle
from market.codec import (
    decode_bar,
    decode_candle,
    decode_funding_rate,
    decode_instrument,
    decode_signal,
    decode_ticker,
    encode_bar,
    encode_candle,
    encode_funding_rate,
    encode_instrument,
    encode_signal,
    encode_ticker,
)
from market.funding import FundingRate
from market.instrument import Instrument
from market.records import BareRecord
from market.signal import Signal
from market.ticker import Ticker
from market.timeframe import Timeframe
from sinks.encoded import Encoded
from sinks.redis.keys import (
    BARS_KEPT,
    BARS_TTL_S,
    FUNDING_TTL_S,
    INSTRUMENTS_TTL_S,
    LIVE_TTL_S,
    SIGNALS_KEPT,
    SIGNALS_TTL_S,
    TICKER_TTL_S,
    bars_key,
    candles_kept,
    candles_key,
    candles_ttl_s,
    funding_key,
    instruments_key,
    live_key,
    signals_key,
    ticker_key,
)
from sinks.redis.writes import Change, Write, WriteKind, lines, surviving
from sinks.rows import decode_rows

_ALL = 1 << 20
"""Places of a hash are not trimmed: an exchange has some thousand instruments."""
_TIME_DIGITS = 16
"""So that times are in order as texts too."""


class HotKind(NamedTuple):
    """How records of one topic are written."""

    decode: Callable[[bytes], Any]
    change: Callable[[str, Any], Change]
    """Prefix and model → what it changes."""
    kind: WriteKind
    ttl_s: int
    kept: int = _ALL
    identity: tuple[str, ...] = ()
    """Of several values of one time: the fields that tell them apart."""
    live_only: bool = False
    """Records of runs are passed over."""


class HotRecords:
    """Reads and writes the records of a topic with so many partitions, one by one. As `HotTopic` says."""

    def __init__(self, kind: HotKind, prefix: str, partitions: int) -> None:
        self._kind = kind
        self._prefix = prefix
        self._partitions = partitions

    def encode(self, partition: int, records: Sequence[BareRecord]) -> Encoded:
        """A batch as writes; malformed records are refused."""
        rows, malformed = decode_rows(partition, records, self._kind.decode, self._partitions)
        if self._kind.live_only:
            rows = [row for row in rows if row.run is None]
        changes = [self._kind.change(self._prefix, row.model) for row in rows]
        writes = [self._write(newest, skipped) for newest, skipped in surviving(changes, self._kind.kept)]
        return Encoded(writes, len(rows), malformed)

    def _write(self, changes: list[Change], skipped: int) -> Write:
        places, times, revisions, values = (
            lines(change.place for change in changes),
            lines(change.rank[0] for change in changes),
            lines(change.rank[1] for change in changes),
            b"\n".join(change.value for change in changes),
        )
        tag, key, *_ = changes[0]
        _, _, kind, ttl_s, kept, identity, _ = self._kind
        if kind is WriteKind.CANDLES:
            lists: tuple[bytes, ...] = (places, revisions, values)
        elif kind is WriteKind.NEWEST:
            lists = (times, values)
        else:
            lists = (places, times, revisions, values)
        return Write(kind, tag, (key,), ttl_s, kept, skipped, lists, len(changes), identity=lines(identity))


def candles(timeframe: Timeframe) -> HotKind:
    """Closed candles of a timeframe."""

    def change(prefix: str, candle: Candle) -> Change:
        key = candles_key(prefix, candle.key, candle.timeframe)
        return Change(candle.key, key, candle.open_time_ms, (0, candle.revision), encode_candle(candle))

    return HotKind(decode_candle, change, WriteKind.CANDLES, candles_ttl_s(timeframe), candles_kept(timeframe))


def _live(prefix: str, candle: Candle) -> Change:
    rank = (candle.open_time_ms, candle.revision)
    return Change(candle.key, live_key(prefix, candle.key), "", rank, encode_candle(candle))


def _ticker(prefix: str, ticker: Ticker) -> Change:
    rank = (ticker.time_ms, ticker.revision)
    return Change(ticker.key, ticker_key(prefix, ticker.key), "", rank, encode_ticker(ticker))


def _funding(prefix: str, funding: FundingRate) -> Change:
    key, rank = funding_key(prefix, funding.key), (funding.time_ms, 0)
    return Change(funding.key, key, funding.kind, rank, encode_funding_rate(funding))


def _instrument(prefix: str, instrument: Instrument) -> Change:
    key = instruments_key(prefix, instrument.exchange)
    return Change(instrument.exchange, key, instrument.symbol, (0, 0), encode_instrument(instrument))


def _signal(prefix: str, signal: Signal) -> Change:
    place = f"{signal.time_ms:0{_TIME_DIGITS}} {signal.window_minutes} {signal.kind}\n{signal.other or ''}"
    rank = (signal.time_ms, signal.revision)
    return Change(signal.key, signals_key(prefix, signal.key), place, rank, encode_signal(signal))


def _bar(prefix: str, bar: Bar) -> Change:
    key = bars_key(prefix, bar.key, bar.kind, bar.threshold)
    place = " ".join(f"{number:0{_TIME_DIGITS}}" for number in (bar.close_time_us, bar.series_begin_us, bar.number))
    return Change(bar.key, key, place, (bar.close_time_us, bar.revision), encode_bar(bar))


LIVE = HotKind(decode_candle, _live, WriteKind.LATEST, LIVE_TTL_S)
TICKERS = HotKind(decode_ticker, _ticker, WriteKind.LATEST, TICKER_TTL_S)
FUNDING = HotKind(decode_funding_rate, _funding, WriteKind.LATEST, FUNDING_TTL_S)
INSTRUMENTS = HotKind(decode_instrument, _instrument, WriteKind.LATEST, INSTRUMENTS_TTL_S)
SIGNALS = HotKind(
    decode_signal,
    _signal,
    WriteKind.NEWEST,
    SIGNALS_TTL_S,
    SIGNALS_KEPT,
    identity=("kind", "other", "window_minutes"),
)
BARS = HotKind(
    decode_bar,
    _bar,
    WriteKind.NEWEST,
    BARS_TTL_S,
    BARS_KEPT,
    identity=("series_begin_us", "number"),
    live_only=True,
)
