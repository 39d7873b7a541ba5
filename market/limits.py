"""What a trade may hold: for adapters and imports, who make trades without `decode_trade`."""

from market.decimals import ZERO, plain
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.trade import Trade


def check_trade(trade: Trade) -> None:
    """Whether the log may hold the trade; raises `MalformedError`, which names the field and the limit."""
    if trade.price <= ZERO:
        raise MalformedError(f"price is {plain(trade.price)}: it has to be greater than 0")
    if trade.qty <= ZERO:
        raise MalformedError(f"qty is {plain(trade.qty)}: it has to be greater than 0")
    if not 0 <= trade.time_us < MAX_TIME_US:
        raise MalformedError(f"time_us {trade.time_us} is not from 0 to {MAX_TIME_US - 1} microseconds")
