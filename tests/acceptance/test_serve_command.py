"""``candlewick serve`` as a program; what it answers is held by tests/integration/serving."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "candlewick", "serve"]
NOWHERE = os.environ | {
    "CANDLEWICK_REDIS": "redis://:secret@127.0.0.1:1",
    "CANDLEWICK_CLICKHOUSE": "http://default:secret@127.0.0.1:1",
    "CANDLEWICK_COLD": "memory:///",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    started = subprocess.Popen([*COMMAND, "--port", "0"], cwd=tmp_path, env=NOWHERE, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    with started:
        lines = map(json.loads, started.stderr)  # tiers that are away are told first
        yield started, next(line["address"] for line in lines if "address" in line)
        started.kill()


def test_it_answers_without_stores_refuses_a_second_server_and_stops_when_told(
    server: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    program, address = server
    with urllib.request.urlopen(address + "/v1/health") as response:  # noqa: S310  # our own server
        health = json.load(response)
    assert {tier for tier, told in health["tiers"].items() if told["reachable"]} == {"cold"}
    port = address.rsplit(":", 1)[1]
    second = subprocess.run(
        [*COMMAND, "--port", port], check=False, capture_output=True, text=True, timeout=30, cwd=tmp_path, env=NOWHERE
    )
    assert second.returncode == 2
    assert second.stderr.startswith("candlewick: ")
    assert second.stderr.count("\n") == 1
    assert port in second.stderr
    program.send_signal(signal.SIGTERM)
    assert program.wait(10) == 0
    assert program.stderr is not None
    assert "secret" not in program.stderr.read()


QUIET = {
    "nothing": b"",
    "half a line": b"GET /v1/hea",
    "half a head": b"GET /v1/health HTTP/1.1\r\nHost: x\r\n",
    "idle": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def test_connections_on_which_nothing_comes_are_closed_and_others_are_answered(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    """More of them than the server holds, so that it answers nobody until it has closed some."""
    _, address = server
    host, port = address.removeprefix("http://").split(":")
    with ExitStack() as opened:

        def connect(sent: bytes) -> socket.socket:
            connection = opened.enter_context(socket.create_connection((host, int(port)), 15))
            connection.sendall(sent)
            return connection

        quiet = [connect(sent) for sent in [*QUIET.values()] * 225 + [HTTP2] * 9]
        with urllib.request.urlopen(address + "/v1/health", timeout=15) as response:  # noqa: S310  # our own server
            assert response.status == 200
        for connection in quiet:
            while connection.recv(4096):
                pass


def test_without_a_stack_it_says_what_to_start(tmp_path: Path) -> None:
    ran = subprocess.run(COMMAND, check=False, capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert ran.returncode == 2
    assert "candlewick stack up" in ran.stderr
    assert ran.stderr.count("\n") == 1
