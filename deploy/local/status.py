"""How each server of the stack is doing."""

import re
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import plan
from deploy.local.layout import Layout, read_layout
from deploy.local.plan import Extra
from deploy.local.server import ASK_S, Server, masked
from runtime.settings import (
    Settings,
    clickhouse_address,
    cold_address,
    kafka_address,
    postgres_address,
    redis_address,
)

_USUAL_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "postgres": 5432, "postgresql": 5432}


class State(StrEnum):
    """What was seen of a server."""

    RUNNING = "running"
    SILENT = "not answering"
    STOPPED = "stopped"
    REACHABLE = "reachable (by setting)"
    UNREACHABLE = "unreachable (by setting)"
    SET = "by setting"


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """One line of the table; `address` without its password."""

    name: str
    state: State
    address: str
    pid: int | None = None
    memory_bytes: int | None = None

    @property
    def up(self) -> bool:
        """Whether it can be used, as far as was seen."""
        return self.state in (State.RUNNING, State.REACHABLE, State.SET)


def status(settings: Settings) -> list[ServerStatus]:
    """Ask every server of the stack, and those set by a setting, whether they answer."""
    home = settings.home.absolute()
    layout = read_layout(home) or Layout()
    seen = [_seen(server) for server in plan.servers(home, settings, layout)]
    names = {status.name.split("-")[0] for status in seen}
    for name, setting in _settings(settings).items():
        if setting:
            seen.append(_by_setting(name, setting))
        elif name == "cold":
            seen.append(ServerStatus(name=name, state=State.RUNNING, address=(home / "cold").as_uri()))
        elif name not in {*names, Extra.POSTGRES}:  # what was never asked for is not missing
            seen.append(ServerStatus(name=name, state=State.STOPPED, address=""))
    return seen


def addresses(settings: Settings) -> dict[str, str]:
    """The address of each server, without passwords; raises `UsageError` where the stack was not started."""
    layout = read_layout(settings.home) or Layout()
    has_postgres = settings.postgres or Extra.POSTGRES in layout.ports
    return {
        "kafka": kafka_address(settings),
        "redis": masked(redis_address(settings)),
        "clickhouse": masked(clickhouse_address(settings)),
        "cold": masked(cold_address(settings)),
        **({"postgres": masked(postgres_address(settings))} if has_postgres else {}),
    }


def _settings(settings: Settings) -> dict[str, str | None]:
    return {
        "kafka": settings.kafka,
        "redis": settings.redis.get_secret_value() if settings.redis else None,
        "clickhouse": settings.clickhouse.get_secret_value() if settings.clickhouse else None,
        "cold": settings.cold,
        "postgres": settings.postgres.get_secret_value() if settings.postgres else None,
    }


def _seen(server: Server) -> ServerStatus:
    pid = server.process.pid()
    state = State.STOPPED if pid is None else State.RUNNING if server.answers() else State.SILENT
    return ServerStatus(
        name=server.process.name,
        state=state,
        address=masked(server.address),
        pid=pid,
        memory_bytes=_memory_bytes(pid),
    )


def _by_setting(name: str, address: str) -> ServerStatus:
    if name == "cold":
        return ServerStatus(name=name, state=State.SET, address=masked(address))
    servers = address.split(",") if name == "kafka" else [address]
    reached = any(_reaches(server) for server in servers)
    return ServerStatus(name=name, state=State.REACHABLE if reached else State.UNREACHABLE, address=masked(address))


def _reaches(server: str) -> bool:
    place = urlsplit(server if "://" in server else f"tcp://{server}")
    try:
        port = place.port or _USUAL_PORTS.get(place.scheme, 0)
        with socket.create_connection((place.hostname or "", port), ASK_S):
            return True
    except (OSError, ValueError):
        return False


def _memory_bytes(pid: int | None) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # ended in this moment, or a system without /proc
        return None
    resident = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    return int(resident[1]) * 1024 if resident else None
