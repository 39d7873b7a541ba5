"""Clients in environments of their own, as docs/clients.md sets them up; and what they are held against."""

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everywhere import Candles

from runtime.settings import load_settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text()
SHOWN = "http://127.0.0.1:8080"
"""The address in the page."""
DAY_MS = 1_714_521_600_000  # 2024-05-01


@dataclass(frozen=True)
class LiveMarket:
    """The address of the API, and what the stores hold by plain reads."""

    address: str
    candles: dict[str, Candles]
    trades: dict[tuple[str, str], tuple[Any, ...]]
    """(symbol, id) → price, qty, time in microseconds, as ClickHouse has them."""


def pieces(language: str) -> list[str]:
    """The pieces of docs/clients.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def environment(requirements: str) -> Path:
    """The folder of the programs of an environment with these packages; made once, in the cache."""
    wanted = (HERE / requirements).read_text()
    digest = hashlib.sha256(f"{wanted}{sys.version}".encode()).hexdigest()[:12]
    folder = load_settings().cache.expanduser() / f"clients-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(HERE / requirements)], check=True)
        (folder / "complete").touch()
    return folder / "bin"
