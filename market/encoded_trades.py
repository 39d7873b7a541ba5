"""Live trades of one market as the records that they become: no object for a trade, only its numbers and its value.

Most trades that a feed publishes need no decision: their ids follow on one another, and their amounts are short. For
them the texts of the exchange are put straight into the form that `market.codec.encode_trade` writes. A test compares
the two.
"""

from functools import lru_cache

import msgspec
from msgspec import Struct

from market.limits import check_key
from market.trade import Side, Source

_SIDES = {side: f'","side":"{side}","time_us":' for side in Side}
_END = f',"source":"{Source.WS}"}}'


class EncodedTrades(Struct, gc=False):
    """Trades in the order in which they came, in parallel columns. `values` are those of `md.trades.v1`."""

    head: str
    """What each value begins with."""
    numbers: list[int]
    """The ids."""
    times_us: list[int]
    prices: list[str]
    """In canonical form."""
    values: list[bytes]
    received_us: int = 0
    """When the newest came."""

    def add(self, number: int, price: str, qty: str, side: Side, *, time_us: int, received_us: int) -> None:
        """Add a trade of a WebSocket; its amounts are short (`market.limits.count_short_amounts`)."""
        if "." in price:
            price = price.rstrip("0").rstrip(".")
        if "." in qty:
            qty = qty.rstrip("0").rstrip(".")
        self.numbers.append(number)
        self.times_us.append(time_us)
        self.prices.append(price)
        self.received_us = received_us
        value = (
            f'{self.head}{number}","price":"{price}","qty":"{qty}'
            f'{_SIDES[side]}{time_us},"received_us":{received_us}{_END}'
        )
        self.values.append(value.encode())

    @property
    def time_us(self) -> int:
        """Of the newest."""
        return self.times_us[-1]


def no_trades(exchange: str, symbol: str) -> EncodedTrades:
    """None yet. `MalformedError`: there can be no such market."""
    return EncodedTrades(_head(exchange, symbol), [], [], [], [])


@lru_cache(maxsize=16_384)
def _head(exchange: str, symbol: str) -> str:
    check_key(exchange, symbol)
    names = [msgspec.json.encode(name).decode() for name in (exchange, symbol)]
    return f'{{"exchange":{names[0]},"symbol":{names[1]},"trade_id":"'
