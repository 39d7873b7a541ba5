"""What the shared part of the simulator asks of a protocol. One file each in `protocols/`.

A protocol says how a client subscribes, how it is answered, and how messages and pages are written. Delivery,
connections, faults, request weights and pages are the shared part's, which knows no protocol.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from producers.simulator.limits import LimitVerdict, RequestLimit
from producers.simulator.record import RecordForm
from producers.simulator.tape import Channel


class PolicyError(Exception):
    """The server closes the connection as against its policy, with these words."""


class ConnectionOpening(NamedTuple):
    """How a client opened a connection."""

    path: str
    values: Mapping[str, str]
    """The query, and the variable parts of the path."""


class ConnectionLimits(NamedTuple):
    """What ends a connection."""

    messages_per_s: int | None = None
    """More messages of a client within a second."""
    first_message_within_s: float | None = None
    """No message of the client at all (wall seconds)."""


class Subscriptions(Protocol):
    """The subscriptions of one connection, by the names that its protocol gives them."""

    @property
    def names(self) -> Mapping[str, Channel | None]:
        """What is subscribed to; None: to nothing that ever comes."""

    def take(self, name: str, channel: Channel | None, *, certain: bool = False) -> bool:
        """Subscribe; None: to nothing that ever comes. False: a fault leaves it out, but never where `certain`."""

    def leave(self, name: str) -> None:
        """Unsubscribe."""


class StreamSession(Protocol):
    """One connection, as its protocol speaks. Texts are those of frames."""

    def begin(self) -> Sequence[str]:
        """What is sent at once. Raises `PolicyError`."""

    def answer(self, text: str) -> Sequence[str]:
        """The answers to a message of the client. Raises `PolicyError`."""

    def shutdown_notice(self) -> str | None:
        """What says that the server is about to shut down; None: this exchange says nothing."""


class Reply(NamedTuple):
    """An answer of REST, JSON."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class ReplyError(Exception):
    """What was asked for is answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


class RestQuery(NamedTuple):
    """A request: the query with the variable parts of the path, and the headers."""

    values: Mapping[str, str]
    headers: Mapping[str, str]


class Endpoint(NamedTuple):
    """A path of REST and its weight; `answer` may raise `ReplyError` and `WithheldError`."""

    path: str
    weight: int
    answer: Callable[[RestQuery], Awaitable[bytes]]


class WireProtocol(Protocol):
    """The protocol of one exchange."""

    names: Sequence[str]
    """The exchanges that speak it, as the records in Kafka or the commands name them."""
    stream_paths: Sequence[str]
    """Where its WebSockets are; ``{name}`` and ``{name:.*}`` are variable parts."""
    connection_limits: ConnectionLimits
    request_limit: RequestLimit
    record: RecordForm
    """How ``/sim/record`` gives the trades that this protocol gives."""

    def session(self, opening: ConnectionOpening, subscriptions: Subscriptions) -> StreamSession:
        """A new connection."""

    def endpoints(self) -> Iterable[Endpoint]:
        """The paths of REST."""

    def too_much(self, verdict: LimitVerdict) -> Reply:
        """The answer to a client that asks too much."""

    def broken(self) -> Reply:
        """The answer where the exchange's own database fails."""

    def headers(self, verdict: LimitVerdict) -> Mapping[str, str]:
        """What stands in the headers of all answers."""
