"""What a record may hold."""

from market.decimals import ZERO, plain
from market.errors import MalformedError
from market.trade import Trade


def check_trade(trade: Trade) -> None:
    """Whether the log may hold the trade; raises `MalformedError`."""
    for name, value in (("price", trade.price), ("qty", trade.qty)):
        if value <= ZERO:
            raise MalformedError(f"{name} is {plain(value)}: it has to be greater than 0")
