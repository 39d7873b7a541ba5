"""What the feed asks of an exchange: pure translation between its protocol and ours. One file each in `exchanges/`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from market.trade import Trade


class RefusedTrade(NamedTuple):
    """What an exchange sent in place of a trade that we can read, and what is wrong with it."""

    raw: bytes
    reason: str
    symbol: str | None = None
    """Our symbol; None: not known."""
    number: int | None = None
    """The trade's id; None: not known."""


class Message(NamedTuple):
    """One frame of a connection, read."""

    server_us: int
    """The exchange's own clock in the frame, microseconds; 0 where it carries none."""
    trade: Trade | None = None
    refused: RefusedTrade | None = None
    """In place of `trade`: the frame can be read, but its trade cannot."""
    closing: bool = False
    """The server says that it will shut down."""


class RestRequest(NamedTuple):
    """A REST request: path with query, and its weight as the exchange counts it."""

    path: str
    weight: int


class RestLimits(NamedTuple):
    """How much one address may ask."""

    weight_per_minute: int
    used_weight_header: str
    """Response header with the weight used in the current minute."""


class Exchange(Protocol):
    """An exchange whose trade ids count up by one."""

    name: str
    ws_url: str
    rest_url: str
    rest_limits: RestLimits
    symbols_per_connection: int
    page_trades: int
    """How many trades a page of REST holds at most."""

    def stream_path(self, natives: Sequence[str]) -> str:
        """The path of a connection that carries the trades of these symbols, and each second the server's time."""

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """Read a frame; `symbols` maps native names to ours. `MalformedError`: it is no frame of the exchange."""

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """The request that asks which of these symbols exist."""

    def read_instruments(self, body: bytes) -> dict[str, str]:
        """Native names to our symbols, from an answer to `instruments`. Raises `MalformedError`."""

    def native(self, symbol: str) -> str:
        """The native name of `symbol`, which is ours or native, in capital or small letters; it need not exist."""

    def trades_from(self, native: str, from_id: int, limit: int) -> RestRequest:
        """The request for at most `limit` trades with ids from `from_id` on."""

    def newest_trade(self, native: str) -> RestRequest:
        """The request for the newest trade."""

    def read_trades(self, body: bytes, symbol: str, received_us: int) -> "list[Trade | RefusedTrade]":
        """Read the rows of a page, in the order of the answer. `MalformedError`: it is no page."""
