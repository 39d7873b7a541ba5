"""Which port a part listens on."""

import socket

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


def choose_port(part: str, *, given: int | None, remembered: int | None, default: int, taken: set[int]) -> int:
    """The port for `part`; one that is given must be free, otherwise the next free one is taken.

    Without `given`: the one of the last time while it is free, else the first free one from `default` on.
    0 stands for any free port. `taken` are the ports chosen for other parts.
    """
    if given and (given in taken or not is_free(given)):
        raise UsageError(
            f"port {given} for {part} is in use by another program: end that program, or give another port "
            f"with --{part}-port (CANDLEWICK_{part.upper()}_PORT)"
        )
    if given:
        return given
    if remembered and remembered not in taken and is_free(remembered):
        return remembered
    if given == 0:
        return any_free_port()
    for port in range(default, default + _TRIES):
        if port not in taken and is_free(port):
            return port
    raise UsageError(
        f"no free port for {part} between {default} and {default + _TRIES - 1}: give one with --{part}-port "
        f"(CANDLEWICK_{part.upper()}_PORT)"
    )
