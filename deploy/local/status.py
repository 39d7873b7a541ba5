"""How each part of the stack is doing."""

import re
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import plan
from deploy.local.layout import Layout, read_layout
from deploy.local.part import ASK_S, Server
from runtime.settings import Settings, clickhouse_address, cold_address, kafka_address, redis_address

_USUAL_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


class State(StrEnum):
    """What was seen of a part."""

    RUNNING = "running"
    SILENT = "not answering"
    STOPPED = "stopped"
    REACHABLE = "reachable (by setting)"
    UNREACHABLE = "unreachable (by setting)"
    SET = "by setting"


@dataclass(frozen=True, kw_only=True)
class PartStatus:
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


def status(settings: Settings) -> list[PartStatus]:
    """Ask every part of the stack, and those set by a setting."""
    home = settings.home.absolute()
    layout = read_layout(home) or Layout()
    seen = [_seen(part) for part in plan.parts(home, settings, layout)]
    names = {one.name.split("-")[0] for one in seen}
    for name, setting in _settings(settings).items():
        if setting:
            seen.append(_by_setting(name, setting))
        elif name == "cold":
            seen.append(PartStatus(name=name, state=State.RUNNING, address=(home / "cold").as_uri()))
        elif name not in names:
            seen.append(PartStatus(name=name, state=State.STOPPED, address=""))
    return seen


def addresses(settings: Settings) -> dict[str, str]:
    """Where each part is, without passwords; raises `UsageError` where the stack was not started."""
    return {
        "kafka": kafka_address(settings),
        "redis": masked(redis_address(settings)),
        "clickhouse": masked(clickhouse_address(settings)),
        "cold": masked(cold_address(settings)),
    }


def masked(address: str) -> str:
    """The address without its password."""
    return re.sub(r"(?<=://)([^/@]*):[^/]*@", r"\1:***@", address)


def _settings(settings: Settings) -> dict[str, str | None]:
    return {
        "kafka": settings.kafka,
        "redis": settings.redis.get_secret_value() if settings.redis else None,
        "clickhouse": settings.clickhouse.get_secret_value() if settings.clickhouse else None,
        "cold": settings.cold,
    }


def _seen(part: Server) -> PartStatus:
    pid = part.process.pid()
    state = State.STOPPED if pid is None else State.RUNNING if part.answers() else State.SILENT
    return PartStatus(
        name=part.process.name, state=state, address=part.address, pid=pid, memory_bytes=_memory_bytes(pid)
    )


def _by_setting(name: str, address: str) -> PartStatus:
    if name == "cold":
        return PartStatus(name=name, state=State.SET, address=masked(address))
    servers = address.split(",") if name == "kafka" else [address]
    reached = any(_reaches(server) for server in servers)
    return PartStatus(name=name, state=State.REACHABLE if reached else State.UNREACHABLE, address=masked(address))


def _reaches(server: str) -> bool:
    parts = urlsplit(server if "://" in server else f"tcp://{server}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _USUAL_PORTS.get(parts.scheme, 0)), ASK_S):
            return True
    except (OSError, ValueError):
        return False


def _memory_bytes(pid: int | None) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # ended in this moment, or a system without /proc
        return None
    found = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
