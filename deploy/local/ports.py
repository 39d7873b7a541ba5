"""Which port a server listens on."""

import socket
from collections.abc import Collection

from runtime.errors import UsageError

HOST = "127.0.0.1"
_TRIES = 100


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def any_free_port() -> int:
    """A port that the system says is free."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def first_free_port(default: int, taken: Collection[int] = ()) -> int | None:
    """The first port from `default` on that is free and not in `taken`; None where there is none among a hundred."""
    ports = range(default, default + _TRIES)
    return next((port for port in ports if port not in taken and is_free(port)), None)


def choose_port(server: str, *, given: int | None, remembered: int | None, default: int, taken: set[int]) -> int:
    """The port for `server`. One that is given must be free; otherwise the next free one is taken.

    Without `given` it is the one of the last time while that is free, else the first free one from `default` on.
    0 stands for any free port. `taken` are the ports chosen for other servers.
    """
    if given and (given in taken or not is_free(given)):
        raise UsageError(
            f"port {given} for {server} is in use by another program: end that program, or give another port "
            f"with --{server}-port (CANDLEWICK_{server.upper()}_PORT)"
        )
    if given:
        return given
    if remembered and remembered not in taken and is_free(remembered):
        return remembered
    if given == 0:
        return any_free_port()
    if port := first_free_port(default, taken):
        return port
    raise UsageError(
        f"no free port for {server} between {default} and {default + _TRIES - 1}: give one with --{server}-port "
        f"(CANDLEWICK_{server.upper()}_PORT)"
    )
