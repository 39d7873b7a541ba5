"""ClickHouse on this machine: the chdb engine behind its HTTP front."""

import importlib.util
import sys
from pathlib import Path

from deploy.local.ports import HOST
from deploy.local.server import Server, http_ok, process_of
from runtime.errors import CandlewickError

DEFAULT_PORT = 8123


def clickhouse_server(home: Path, port: int) -> Server:
    """The ClickHouse engine of the stack in `home`."""
    return Server(
        process=process_of(home, "clickhouse"),
        address=f"http://{HOST}:{port}",
        prepare=lambda _: command(home / "clickhouse", port),
        answers=lambda: http_ok(f"http://{HOST}:{port}/ping"),
        start_s=60.0,
    )


def require_installed() -> None:
    """Raise `CandlewickError` where the engine is not installed."""
    if importlib.util.find_spec("chdb") is None:
        raise CandlewickError(
            "no ClickHouse engine: install candlewick[local], or set CANDLEWICK_CLICKHOUSE to a server's URL"
        )


def command(folder: Path, port: int) -> list[str]:
    """The front's command line; makes its folder."""
    require_installed()
    folder.mkdir(parents=True, exist_ok=True)
    return [sys.executable, "-P", "-m", "deploy.local.clickhouse_front", "--port", str(port), "--data", str(folder)]
