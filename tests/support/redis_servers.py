"""Redis servers of a test's own, one or a cluster of three primaries, that may be killed, emptied and started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from deploy.local.ports import any_free_port
from deploy.local.redis import command

SLOTS = 16_384
START_S = 20.0
_BUS = 10_000
"""A node's own talk with the others is on the port so much higher."""


class RedisServer:
    """One server; what it writes is on disk at once, so that a kill loses only what `lose` takes away."""

    def __init__(self, folder: Path, port: int, **options: str) -> None:
        self.folder = folder
        self.port = port
        self._options = {"appendfsync": "always"} | options
        self.start()

    def start(self) -> None:
        more = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([*command(self.folder, self.port), *more], stdout=subprocess.DEVNULL)
        until_s = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < until_s, f"the Redis on port {self.port} does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def log_bytes(self) -> int:
        return self._log.stat().st_size

    def lose(self, since_bytes: int) -> None:
        """Forget, while it is killed, what it wrote since its log had this size: as after a power cut."""
        with self._log.open("r+b") as log:
            log.truncate(since_bytes)

    def client(self) -> "Redis[bytes]":
        return Redis(port=self.port)

    @property
    def _log(self) -> Path:
        return max(self.folder.rglob("*.aof"))  # of Redis 7 the last of several

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


class RedisNodes:
    """Servers that are one Redis: `url` is for `CANDLEWICK_REDIS`."""

    def __init__(self, servers: list[RedisServer], *, are_cluster: bool) -> None:
        self.servers = servers
        scheme = "redis+cluster" if are_cluster else "redis"
        self.url = f"{scheme}://127.0.0.1:{servers[0].port}"

    def cut_power(self, server: RedisServer, *, since_bytes: int) -> None:
        """Kill one server, take away what it wrote since its log had this size, and start it again."""
        server.kill()
        server.lose(since_bytes)
        server.start()
        if len(self.servers) > 1:
            _await_agreement(self.servers)

    def empty(self) -> None:
        for server in self.servers:
            with server.client() as client:
                client.flushall()


@contextmanager
def one_redis(folder: Path) -> Iterator[RedisNodes]:
    server = RedisServer(folder / "redis", any_free_port())
    try:
        yield RedisNodes([server], are_cluster=False)
    finally:
        server.kill()


@contextmanager
def redis_cluster(folder: Path) -> Iterator[RedisNodes]:
    """Three primaries without replicas."""
    options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-config-file": "nodes.conf"}
    servers: list[RedisServer] = []
    try:
        for number in range(3):
            server = RedisServer(folder / f"node-{number}", _port_with_bus(), **options)
            servers.append(server)  # one by one: those that run are ended even if the next does not start
        for number, server in enumerate(servers):
            with server.client() as client:
                client.execute_command("CLUSTER ADDSLOTS", *(s for s in range(SLOTS) if _share_of(s) == number))
                client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
        _await_agreement(servers)
        yield RedisNodes(servers, are_cluster=True)
    finally:
        for server in servers:
            server.kill()


def _share_of(slot: int) -> int:
    return slot * 3 // SLOTS


def _await_agreement(servers: list[RedisServer]) -> None:
    until_s = time.monotonic() + START_S
    for server in servers:
        with server.client() as client:
            while not _is_whole(client):
                assert time.monotonic() < until_s, "the nodes of the cluster do not agree"
                time.sleep(0.05)


def _is_whole(client: "Redis[bytes]") -> bool:
    said: Any = client.execute_command("CLUSTER INFO")
    return said["cluster_state"] == "ok" and said["cluster_known_nodes"] == "3"


def _port_with_bus() -> int:
    while True:
        port = any_free_port()
        if port + _BUS < 65_536:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port + _BUS))
                except OSError:
                    continue
                return port
