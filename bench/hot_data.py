"""What the hot store's readers read: markets with an hour of candles, a ticker and trades."""

from collections.abc import Iterator
from decimal import Decimal

from trades import MINUTE_US, trade

from market.candle import Candle, Status
from market.codec import encode_candle, encode_ticker
from market.partition import partition_of
from market.ticker import Ticker, Window
from market.timeframe import MINUTE_MS, Timeframe
from runtime.kafka import Outgoing

SYMBOLS = 200
MINUTES = 60
TRADES = 500


def key_of(number: int) -> str:
    """A market's key."""
    return f"bench:S{number:05d}-USDT"


def candles(end_ms: int, partitions: int) -> Iterator[Outgoing]:
    """An hour of closed 1m candles of each market, up to `end_ms`."""
    for number in range(SYMBOLS):
        for minute in range(MINUTES):
            yield candle(number, end_ms - (MINUTES - minute) * MINUTE_MS, partitions)


def candle(number: int, open_ms: int, partitions: int) -> Outgoing:
    """The closed 1m candle of a market that opens then."""
    minute = open_ms // MINUTE_MS % MINUTES
    price = Decimal(27000 + 13 * number + minute) + Decimal("0.17")
    volume = Decimal(1000 + 7 * minute + number) / 1000
    value = Candle(
        exchange="bench",
        symbol=key_of(number).partition(":")[2],
        timeframe=Timeframe.M1,
        open_time_ms=open_ms,
        close_time_ms=open_ms + MINUTE_MS - 1,
        open=price,
        high=price + 3,
        low=price - 2,
        close=price + 1,
        volume=volume,
        quote_volume=volume * price,
        trades=300,
        taker_buy_volume=volume / 2,
        taker_buy_quote_volume=volume / 2 * price,
        first_trade_id=str(10**8 + 300 * minute),
        last_trade_id=str(10**8 + 300 * minute + 299),
        revision=open_ms // MINUTE_MS,
        status=Status.COMPLETE,
    )
    return _record(number, encode_candle(value), partitions)


def tickers(end_ms: int, partitions: int) -> Iterator[Outgoing]:
    """A ticker of each market."""
    price = Decimal("27000.17")
    window = Window(
        minutes=60,
        open=price,
        high=price + 9,
        low=price - 9,
        close=price + 1,
        change=Decimal(1),
        change_percent=Decimal("0.0037"),
        vwap=price,
        volume=Decimal("1234.567"),
        quote_volume=Decimal("33333519.870389"),
        taker_buy_volume=Decimal("617.2"),
        trades=18000,
        status=Status.COMPLETE,
    )
    for number in range(SYMBOLS):
        ticker = Ticker(
            exchange="bench",
            symbol=key_of(number).partition(":")[2],
            time_ms=end_ms,
            last=price,
            live=False,
            revision=end_ms // MINUTE_MS,
            windows={"1h": window, "24h": window},
        )
        yield _record(number, encode_ticker(ticker), partitions)


def trades(end_ms: int, partitions: int) -> Iterator[Outgoing]:
    """As many trades of each market as the hot store keeps."""
    for number in range(SYMBOLS):
        for each in range(TRADES):
            time_us = end_ms * 1000 - MINUTE_US + each * 1000
            value = trade(
                key_of(number), 10**6 + each, f"{27000 + each / 10:.1f}", "0.0123", time_us, buy=each % 2 == 0
            )
            yield _record(number, value, partitions)


def _record(number: int, value: bytes, partitions: int) -> Outgoing:
    key = key_of(number).encode()
    return Outgoing(key, value, partition=partition_of(key, partitions))
