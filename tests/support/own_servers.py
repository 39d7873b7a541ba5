"""Servers of a test's own that may be killed, frozen, and started again on the same data."""

import asyncio
import signal
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import boto3
import psutil
import pytest
from eventually import eventually

from deploy.local import clickhouse, postgres, redis
from deploy.local.ports import any_free_port
from runtime.settings import load_settings

S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testing-only"}
_S3_CLIENT = S3_KEYS | {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
_S3_SERVER = {"ROOT_ACCESS_KEY": "test", "ROOT_SECRET_KEY": "testing-only"}
START_S = 60.0


class OwnServer:
    """One server, with all its processes."""

    def __init__(self, command: Sequence[str], port: int, url: str, environment: dict[str, str] | None = None) -> None:
        self.url = url
        self._command = command
        self._port = port
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Until it takes connections."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = await asyncio.to_thread(subprocess.Popen, self._command, env=self._environment, **quiet)
        await eventually(self._answers, timeout_s=START_S)

    def kill(self) -> None:
        """All its processes at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.send_signal(number)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True


def own_redis(folder: Path) -> OwnServer:
    port = any_free_port()
    return OwnServer(redis.command(folder / "redis", port), port, f"redis://127.0.0.1:{port}/0")


def own_clickhouse(folder: Path) -> OwnServer:
    port = any_free_port()
    return OwnServer(clickhouse.command(folder / "clickhouse", port), port, f"http://127.0.0.1:{port}")


def own_postgres(folder: Path) -> OwnServer:
    port = any_free_port()
    command = postgres.command(folder / "postgres", port, "own")
    return OwnServer(command, port, f"postgresql://candlewick:own@127.0.0.1:{port}/candlewick")


def own_s3(folder: Path) -> OwnServer:
    """versitygw over a folder; the test is skipped where there is none."""
    program = load_settings().cache.expanduser() / "bin" / "versitygw"
    if not program.exists():
        pytest.skip(f"no S3 server that writes: {program} is missing (make versitygw)")
    port, data = any_free_port(), folder / "s3"
    data.mkdir()
    command = [str(program), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(data)]
    return OwnServer(command, port, f"http://127.0.0.1:{port}", _S3_SERVER)


def s3_variables(endpoint: str) -> dict[str, str]:
    """The variables by which a client reaches an S3 server on this machine."""
    return _S3_CLIENT | {"AWS_ENDPOINT_URL": endpoint}


def new_bucket(endpoint: str) -> str:
    """Its name."""
    bucket = f"t{uuid.uuid4().hex[:8]}"
    keys = {name.lower(): value for name, value in S3_KEYS.items()}
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).create_bucket(Bucket=bucket)
    return bucket


OWN_SERVERS: dict[str, Callable[[Path], OwnServer]] = {
    "redis": own_redis, "clickhouse": own_clickhouse, "parquet": own_s3, "postgres": own_postgres,
}  # fmt: skip
"""By the sink that writes into it."""
