"""What the feed asks of an exchange: pure translation between its protocol and ours. One file each in `exchanges/`.

An adapter says what to send and how to read what comes. It never waits, opens or remembers anything: connections,
pauses, limits and ledgers are the feed's. A *native* name is the one that the exchange's streams use (``BTCUSDT``).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from market.encoded_trades import EncodedTrades
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.trade import Trade


class RefusedTrade(NamedTuple):
    """What an exchange sent in place of a trade that we can read, and what is wrong with it."""

    raw: bytes
    reason: str
    symbol: str | None = None
    """Our symbol; None: not known."""
    number: int | None = None
    """The trade's id; None: not known."""


class Opening(NamedTuple):
    """How a connection for some symbols is opened."""

    path: str
    """Path and query, behind the host."""
    frames: tuple[str, ...] = ()
    """What is sent then, in this order."""
    pause_s: float = 0.0
    """The least time between two of these frames."""
    acknowledged: bool = False
    """The exchange says which subscriptions it took (`Message.accepted`): what it does not take will never come."""
    singly: tuple[str, ...] = ()
    """`frames` with each subscription in a frame of its own, so that a refusal shows whose it is; empty: they are so
    already, or cannot be."""


class Keepalive(NamedTuple):
    """What we send so that the exchange does not hang up; its answer is read like any frame."""

    frame: str
    every_s: float


class Message(Struct, frozen=True, gc=False):  # made for every frame: a NamedTuple takes four times as long
    """One frame of a connection, read."""

    server_us: int = 0
    """The exchange's own clock in the frame, microseconds; 0 where it carries none."""
    trades: Sequence[Trade] = ()
    refused: Sequence[RefusedTrade] = ()
    """What stands in place of trades and cannot be read."""
    closing: bool = False
    """The server says that it will shut down."""
    accepted: Sequence[str] = ()
    """Native names whose subscription the exchange acknowledges."""
    rejected: str | None = None
    """The exchange says that it does not take a subscription, and why."""
    untaken: Sequence[str] = ()
    """Native names of the subscriptions that it does not take for this reason; empty: it does not tell."""
    culprit: str | None = None
    """The native name that is the reason; None: it does not tell."""


class TimesTold(NamedTuple):
    """What many messages with a trade each tell of the time, microseconds: the exchange's clock, and their trades'."""

    server_us: int
    """The greatest clock."""
    trade_us: int
    """The greatest time of a trade."""
    last_us: int
    """The time of the last trade."""
    least_lead_us: int
    """How far the clock in a message is at least ahead of its trade's time."""
    greatest_lead_us: int


class TradeFrames(Struct, frozen=True, gc=False):
    """Frames of a connection that hold one trade each and nothing else to note, read together."""

    frames: Sequence[bytes]
    """As they came."""
    received_us: Sequence[int]
    times: TimesTold
    trades: Mapping[str, EncodedTrades]
    """The trades in them, by native name."""


class RestRequest(NamedTuple):
    """A REST request: path with query, and its weight as the exchange counts it."""

    path: str
    weight: int = 1


class RestLimits(NamedTuple):
    """How much one address may ask."""

    weight: int
    per_s: float
    """`weight` may be spent in so many seconds."""
    used_weight_header: str | None = None
    """The response header with the weight that was used in the current minute."""
    too_much: Mapping[int, float] = {429: 10.0}
    """Statuses that want no requests for a while, and for how many seconds where no header says it."""
    too_much_words: tuple[bytes, ...] = ()
    """Texts in an answer of any other status that say the same; then we wait as after 429."""
    lag_s: float = 0.0
    """An answer may be so much older than what the streams have sent."""


class TradesRequest(NamedTuple):
    """A page of trades to ask for."""

    native: str
    symbol: str
    limit: int
    known: int | None = None
    """The page has to hold the trade with this id, and those right after it; None: the newest trades are asked for."""
    known_us: int = 0
    """No later than the time of that trade, or of the one right after it."""


class TradesPage(NamedTuple):
    """The answer, read."""

    rows: "Sequence[Trade | RefusedTrade]"
    """The older first, else in the order of the answer; rows before the known one may be there too."""
    is_whole: bool
    """There was nothing newer than its last row when it was made, by its length."""


class Exchange(Protocol):
    """An exchange."""

    name: str
    """As it stands in record keys."""
    ws_url: str
    rest_url: str
    rest_limits: RestLimits
    symbols_per_connection: int
    page_trades: int
    """How many trades a page of REST holds at most."""
    page_klines: int
    """How many minutes an answer to `klines` covers at most: no more are asked for at once."""
    klines_count_trades: bool
    """`trades` of a kline counts what we count; else fills, of which one of our trades may hold several."""
    ids_prove: bool
    """Trade ids count up by one for each symbol, so that they show what is missing. Else they are any text."""
    keepalive: Keepalive | None

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Exchange":
        """The exchange for instruments whose contracts are so many base units, by native name (`contracts_of`).

        Itself where sizes are in base units. Else only what it gives reads trades of these instruments: a message does
        not tell how much a contract is, and an adapter remembers nothing.
        """

    def opening(self, natives: Sequence[str]) -> Opening:
        """How to open a connection that carries the trades of these symbols, and about each second the server's time.

        The time has to come while nobody trades, too.
        """

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """Read a frame; `symbols` maps native names to ours. `MalformedError`: it is no frame of the exchange."""

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """The request for the exchange's list of instruments: at least for those of these names; of none: for all."""

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """Read the answer to `instruments`; what we cannot name is left out. Raises `MalformedError`."""

    def native(self, symbol: str) -> str:
        """The native name of `symbol`, which is ours or native, in capital or small letters; it need not exist.

        `UsageError`: it is of a product that the adapter does not read.
        """

    def trades(self, request: TradesRequest) -> RestRequest:
        """The request for a page of trades."""

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """Read the answer to `trades`. `MalformedError`: it is no page."""

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """The request for the exchange's own 1-minute candles that open from `from_ms` on, before `until_ms`."""

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Read the answer to `klines`, the older first. Raises `MalformedError`."""


def contracts_of(instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """How much one contract is, of those instruments (by native name) that are counted in contracts."""
    return {native: each.contract for native, each in instruments.items() if each.contract is not None}


@runtime_checkable
class ReadsTogether(Protocol):
    """What an exchange may do besides: read the usual frames of trades together, which costs a fraction."""

    def read_together(
        self, frames: Sequence[bytes], symbols: Mapping[str, str], received_us: Sequence[int]
    ) -> TradeFrames | None:
        """The frames up to the first one that is not usual, which `Exchange.read` has to read; None: it is the first.

        `Exchange.read` would make the same trades of each. `received_us` has a time for each frame.
        """


class FundingSource(Protocol):
    """What an exchange with perpetuals tells of their funding. `symbols` maps native names to ours.

    Rows of other symbols are left out; `MalformedError`: an answer is none, or a row of ours cannot be read.
    """

    page_rates: int
    """How many settled rates an answer holds at most; there are at most 24 a day."""

    def funding(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """The request for the rates that were settled from `from_ms` on, before `until_ms`."""

    def read_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """Read the answer to `funding`, the older first."""

    def expected_funding(self) -> RestRequest:
        """The request for what will be settled next, of all perpetuals."""

    def read_expected_funding(self, body: bytes, symbols: Mapping[str, str]) -> list[FundingRate]:
        """Read the answer to `expected_funding`."""
