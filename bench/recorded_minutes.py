"""Recorded markets for the signals' benchmark: 1m candles or trades out of files, minute by minute side by side."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from market.candle import Candle, Status
from market.codec import encode_candle
from market.decimals import parse_decimal
from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import MINUTE_MS, Timeframe

PARTITIONS = 12
APPENDED_MS = 500
"""So long after its minute's end a candle is in the log."""
_MILLISECONDS = 10**11
"""A time in seconds is less than this."""
_ZERO = Decimal(0)


class BenchRecord(NamedTuple):
    """A record as the core sees it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class BenchMinute(NamedTuple):
    """What a candle says; it opens where it closes, which no signal looks at."""

    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


Minutes = Mapping[int, BenchMinute]
"""By the minute, counted from 1970."""


def record_of(key: MarketKey, minute: int, said: BenchMinute, offset: int) -> tuple[int, BenchRecord]:
    """The partition and the record of a complete minute."""
    close = said.close
    value = encode_candle(
        Candle(
            exchange=key.exchange, symbol=key.symbol, timeframe=Timeframe.M1,
            open_time_ms=minute * MINUTE_MS, close_time_ms=(minute + 1) * MINUTE_MS - 1,
            open=close, high=close, low=close, close=close, volume=said.volume,
            quote_volume=said.quote_volume, trades=said.trades, taker_buy_volume=_ZERO, taker_buy_quote_volume=_ZERO,
            first_trade_id="1" if said.trades else None, last_trade_id="2" if said.trades else None, revision=offset,
            status=Status.COMPLETE,
        )
    )  # fmt: skip
    name = str(key).encode()
    partition = partition_of(name, PARTITIONS)
    return partition, BenchRecord(offset, (minute + 1) * MINUTE_MS + APPENDED_MS, name, value)


def side_by_side(markets: Mapping[MarketKey, Minutes]) -> Iterator[list[tuple[int, BenchRecord]]]:
    """All markets' records of each minute, in the order of the log; a minute between without trades is flat."""
    lasts: dict[MarketKey, BenchMinute] = {}
    ends = {key: max(minutes) for key, minutes in markets.items()}
    offset = 0
    for minute in range(min(min(minutes) for minutes in markets.values()), max(ends.values()) + 1):
        records = []
        for key, minutes in markets.items():
            said = minutes.get(minute)
            if said is None:
                if key not in lasts or minute > ends[key]:
                    continue
                said = BenchMinute(lasts[key].close, _ZERO, _ZERO, 0)
            lasts[key] = said
            offset += 1
            records.append(record_of(key, minute, said, offset))
        yield records


def read_markets(given: Sequence[str], read: Callable[[Path], Minutes]) -> dict[MarketKey, Minutes]:
    """Each is ``EXCHANGE:SYMBOL=FILE``."""
    pairs = (one.partition("=") for one in given)
    return {MarketKey.parse(key): read(Path(path)) for key, _, path in pairs}


def read_candle_file(path: Path) -> Minutes:
    """Rows of open time (ISO 8601, seconds or milliseconds), open, high, low, close, volume; no volume: no trades."""
    minutes = {}
    for row in _rows(path):
        close, volume = Decimal(row[4]), Decimal(row[5])  # some write exponents
        minute = _time_ms(row[0]) // MINUTE_MS
        minutes[minute] = BenchMinute(close, volume, _short(close * volume), int(volume > 0))
    return minutes


def read_agg_trades(path: Path) -> Minutes:
    """Binance's dumps of aggregate trades: id, price, quantity, first and last trade's id, time in ms, and more."""
    minutes: dict[int, BenchMinute] = {}
    for row in _rows(path):
        price, qty, minute = parse_decimal(row[1]), parse_decimal(row[2]), int(row[5]) // MINUTE_MS
        _, volume, quote, trades = minutes.get(minute, BenchMinute(price, _ZERO, _ZERO, 0))
        minutes[minute] = BenchMinute(price, volume + qty, _short(quote + price * qty), trades + 1)
    return minutes


def _rows(path: Path) -> Iterator[list[str]]:
    """All but a heading."""
    with path.open(newline="") as file:
        for row in csv.reader(file):
            if row[0][:1].isdigit():
                yield row


def _time_ms(text: str) -> int:
    if not text.isdigit():
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000
    return int(text) if int(text) >= _MILLISECONDS else int(text) * 1000


def _short(amount: Decimal) -> Decimal:
    return parse_decimal(f"{amount:f}")
