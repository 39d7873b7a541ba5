"""What the engines take for a record of `md.trades.v1`, and what they refuse. Pure."""

from market.codec import decode_trade
from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key
from market.partition import partition_of
from market.records import AHEAD_MS, BareRecord
from market.trade import Marker, Trade

AHEAD_US = 1000 * AHEAD_MS
"""Of a trade or marker."""
MOST_KEYS = 65_536
"""At most so many keys are remembered as being in their right partition; then all are forgotten."""


class MisplacedError(MalformedError):
    """The record's key belongs in another partition."""


class AheadError(MalformedError):
    """The record has a time that is more than two minutes after its append time."""


def market_of(key: bytes, partition: int, partitions: int) -> MarketKey:
    """The market of a record's key; `MalformedError` where it is none, `MisplacedError` in the wrong partition."""
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"the key is not UTF-8: {error}") from error
    if (right := partition_of(key, partitions)) != partition:
        raise MisplacedError(f"key {text!r} belongs in partition {right}, not {partition}")
    market = MarketKey.parse(text)
    check_key(*market)
    return market


def trade_in(record: BareRecord, market: MarketKey) -> Trade:
    """The trade of a record under that market's key; `MalformedError` where it is none, or another market's."""
    trade = decode_trade(record.value or b"")
    if trade.symbol != market.symbol or trade.exchange != market.exchange:
        raise MalformedError(f"key '{market}' over a trade of '{trade.market}'")
    if trade.time_us > record.timestamp * 1000 + AHEAD_US:
        raise AheadError(f"trade time {trade.time_us} is over two minutes after append time {record.timestamp} ms")
    return trade


def check_marker(marker: Marker, record: BareRecord) -> None:
    """`AheadError` where the marker of that record speaks of a time too far ahead."""
    if max(marker.complete_until_us, marker.published_until_us) > record.timestamp * 1000 + AHEAD_US:
        raise AheadError(
            f"marker of {marker.complete_until_us} is over two minutes after append time {record.timestamp} ms"
        )
