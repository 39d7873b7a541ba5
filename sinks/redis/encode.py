"""Records as the writes of `write.lua`. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from market.candle import Candle, id_order
from market.codec import (
    decode_candle,
    decode_ticker,
    decode_trade,
    encode_candle,
    encode_ticker,
    encode_trade,
)
from market.records import BareRecord
from market.ticker import Ticker
from market.timeframe import Timeframe
from market.trade import Trade
from sinks.encoded import Encoded
from sinks.redis.keys import (
    LIVE_TTL_S,
    TICKER_TTL_S,
    TRADES_KEPT,
    TRADES_TTL_S,
    candles_kept,
    candles_key,
    candles_ttl_s,
    live_key,
    ticker_key,
    trades_data_key,
    trades_key,
)
from sinks.rows import Row, decode_rows

_TRADE_ARGUMENTS = 4


class WriteKind(StrEnum):
    """What the script does with a write."""

    TRADES = "trades"
    CANDLE = "candle"
    LATEST = "latest"


class Condition(StrEnum):
    """On which condition the script takes a trade, as in Redis's own ``SET``."""

    IF_ABSENT = "NX"
    IF_PRESENT = "XX"


class Write(NamedTuple):
    """One write of the script: its kind, its keys, its other arguments in order."""

    kind: WriteKind
    keys: tuple[str, ...]
    arguments: tuple[Any, ...]


def arrange(writes: Iterable[Write], place: Callable[[str], int]) -> Iterator[Any]:
    """The script's arguments for one partition's writes; `place` gives a key's place among the script's keys.

    The trades of a symbol are put together, so that the script trims them once; candles and tickers keep their order.
    """
    trades: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for write in writes:
        if write.kind is WriteKind.TRADES:
            trades[write.keys] += write.arguments
        else:
            yield from (write.kind, *map(place, write.keys), *write.arguments)
    for keys, arguments in trades.items():
        count = len(arguments) // _TRADE_ARGUMENTS
        yield from (WriteKind.TRADES, *map(place, keys), TRADES_TTL_S, TRADES_KEPT, count, *arguments)


class HotKind(NamedTuple):
    """How records of one topic are written."""

    decode: Callable[[bytes], Any]
    write: Callable[[str, Row], Write]


def _trade(prefix: str, row: Row) -> Write:
    """A live trade is added, and its first copy stays; a run's trade only replaces a copy that is there already."""
    trade: Trade = row.model
    keys = (trades_key(prefix, trade.key), trades_data_key(prefix, trade.key))
    member = trade_member(trade.trade_id)
    condition = Condition.IF_ABSENT if row.run is None else Condition.IF_PRESENT
    return Write(WriteKind.TRADES, keys, (condition, trade.time_us, member, encode_trade(trade)))


def trade_member(trade_id: str) -> str:
    """The id in a form that sorts as a text like ids do: numbers by value, and before ids that are no numbers."""
    number = id_order(trade_id)[0] == 0
    return f"0{len(trade_id):02d}{trade_id}" if number else f"1{trade_id}"


def _candle(prefix: str, row: Row) -> Write:
    candle: Candle = row.model
    timeframe = Timeframe(candle.timeframe)
    arguments = (
        candles_ttl_s(timeframe),
        candles_kept(timeframe),
        candle.open_time_ms,
        candle.revision,
        encode_candle(candle),
    )
    return Write(WriteKind.CANDLE, (candles_key(prefix, candle.key, timeframe),), arguments)


def _live(prefix: str, row: Row) -> Write:
    candle: Candle = row.model
    arguments = (LIVE_TTL_S, candle.open_time_ms, candle.revision, encode_candle(candle))
    return Write(WriteKind.LATEST, (live_key(prefix, candle.key),), arguments)


def _ticker(prefix: str, row: Row) -> Write:
    ticker: Ticker = row.model
    arguments = (TICKER_TTL_S, ticker.time_ms, ticker.revision, encode_ticker(ticker))
    return Write(WriteKind.LATEST, (ticker_key(prefix, ticker.key),), arguments)


TRADES = HotKind(decode_trade, _trade)
CANDLES = HotKind(decode_candle, _candle)
LIVE = HotKind(decode_candle, _live)
TICKERS = HotKind(decode_ticker, _ticker)


def encode(kind: HotKind, prefix: str, partition: int, records: Sequence[BareRecord], partitions: int) -> Encoded:
    """Records of one partition, in a topic of so many, as writes; malformed ones are refused."""
    rows, malformed = decode_rows(partition, records, kind.decode, partitions)
    writes = [kind.write(prefix, row) for row in rows]
    return Encoded(writes, len(writes), malformed)
