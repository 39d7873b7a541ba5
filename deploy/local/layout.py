"""What a stack remembers between `up`s: its ports, its number of brokers, its cluster's id, a password."""

import base64
import contextlib
import json
import os
import secrets
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.errors import CandlewickError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The memory of a stack; `ports` by server name, a node's controller as ``kafka-1-controller``."""

    brokers: int = 1
    cluster_id: str = field(default_factory=lambda: base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode())
    ports: dict[str, int] = field(default_factory=dict)
    postgres_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)


def read_layout(home: Path) -> Layout | None:
    """The memory of the stack in `home`; None where there is none yet."""
    path = home / "layout.json"
    try:
        return Layout(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise CandlewickError(
            f"{path} is broken: put it right, or drop the stack and its data with candlewick stack reset"
        ) from None


def write_layout(home: Path, layout: Layout) -> None:
    """Remember."""
    write_whole(home / "layout.json", json.dumps(asdict(layout), indent=1))


def write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner may read; a power cut leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
