"""What the feed asks of an exchange: pure translation between its protocol and ours. One file each in `exchanges/`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from market.trade import Trade


class RefusedTrade(NamedTuple):
    """A trade of the exchange that is none of ours: what it sent, and why it cannot be taken."""

    raw: bytes
    reason: str
    symbol: str | None = None
    """Ours; None where it cannot be told."""
    number: int | None = None
    """Its id; None where it cannot be told."""


class Message(NamedTuple):
    """One frame of a connection, read."""

    server_us: int
    """The exchange's own clock in the frame, microseconds; 0 where it carries none."""
    trade: Trade | None = None
    refused: RefusedTrade | None = None
    """In place of `trade`: the frame is well formed, but its trade is not."""
    closing: bool = False
    """The server says that it is about to go."""


class RestRequest(NamedTuple):
    """A REST request: path with query, and what it weighs in the exchange's own accounting."""

    path: str
    weight: int


class RestLimits(NamedTuple):
    """How much an address may ask."""

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
    """Most trades of one REST page."""

    def stream_path(self, natives: Sequence[str]) -> str:
        """Path of a connection that carries these symbols' trades and, each second, the server's time."""

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame; `symbols` maps native names to ours. `MalformedError`: it is no frame of the exchange at all."""

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """Asks which of these symbols there are."""

    def read_instruments(self, body: bytes) -> dict[str, str]:
        """Native name to our symbol, of all in an answer to `instruments`. Raises `MalformedError`."""

    def native(self, symbol: str) -> str:
        """The native name that `symbol` (ours or native, in any case) may have."""

    def trades_from(self, native: str, from_id: int, limit: int) -> RestRequest:
        """Asks for at most `limit` trades with ids from `from_id` on."""

    def newest_trade(self, native: str) -> RestRequest:
        """Asks for the newest trade."""

    def read_trades(self, body: bytes, symbol: str, received_us: int) -> "list[Trade | RefusedTrade]":
        """The rows of a page, in the order of the answer. `MalformedError`: it is no page at all."""
