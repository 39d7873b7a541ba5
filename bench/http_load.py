"""A load in Python, where there is no wrk: ``http_load.py ADDRESS FILE CLIENTS SECONDS``; FILE is as in `load.lua`."""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class LoadClient(asyncio.Protocol):
    """One connection; asks again as soon as it has its answer."""

    def __init__(self, requests: list[bytes], first: int, seen: "Seen") -> None:
        self._requests, self._next, self._seen = requests, first, seen
        self._left, self._asked_s, self._head = 0, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._seen.size_bytes += len(data)
        if not self._left:
            self._head += data
            head, end, body = self._head.partition(_END)
            if not end:
                return
            self._head, data = b"", body
            lower = head.lower()
            self._seen.failed += not head.startswith(b"HTTP/1.1 200 ")
            begin = lower.index(_LENGTH) + len(_LENGTH)
            self._left = int(lower[begin:].partition(b"\r\n")[0])
        self._left -= len(data)
        if not self._left:
            self._seen.times_ms.append((time.perf_counter() - self._asked_s) * 1000)
            self._ask()

    def _ask(self) -> None:
        self._next += 1
        self._asked_s = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])


class Seen:
    """What all connections saw."""

    def __init__(self) -> None:
        self.times_ms: list[float] = []
        self.size_bytes = 0
        self.failed = 0


async def main(address: str, asked: list[str], clients: int, seconds: float) -> None:
    """Ask, and print one line."""
    host = urlsplit(address)
    end = asked.index("")
    head = "".join(f"{line}\r\n" for line in [f"Host: {host.netloc}", *asked[:end], ""])
    requests = [f"GET {each} HTTP/1.1\r\n{head}".encode() for each in asked[end + 1 :] if each]
    seen, loop = Seen(), asyncio.get_running_loop()
    began_s = time.perf_counter()
    for number in range(clients):
        await loop.create_connection(lambda: LoadClient(requests, 7 * number, seen), host.hostname, host.port)  # noqa: B023
    await asyncio.sleep(seconds)
    took_s, cuts = time.perf_counter() - began_s, statistics.quantiles(seen.times_ms, n=100)
    print(
        json.dumps(
            {
                "requests": len(seen.times_ms), "seconds": took_s, "bytes": seen.size_bytes, "failed": seen.failed,
                "p50_ms": cuts[49], "p99_ms": cuts[98],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    to, path, connections, for_s = sys.argv[1:]
    uvloop.run(main(to, Path(path).read_text().split("\n"), int(connections), float(for_s)))
