"""The audit log: one line of JSON for each request, in a file; who asked what, its weight, and the status.

``{"time_ms", "caller", "method", "path", "query", "weight", "status"}``, and of an analysis ``prompt_tokens`` and
``answer_tokens``. A key never stands in it: a caller is known by
its key's name, and what looks like a key in a path or query is crossed out.

Lines are written a few times a second, with the file opened each time, so that it may be moved away. While it cannot be
written, requests are answered all the same; lines for which there is no room any more are counted as lost.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import orjson
from prometheus_client import Counter

from runtime.telemetry import logger
from serving.access.keys import without_keys

MOST_LINES = 50_000
"""Not written yet; about 10 MB."""
_MOST_CHARACTERS = 512
"""Of a path or a query; the rest is left out."""
_WRITE_S = 0.25

_lost = Counter("candlewick_audit_lost", "Requests of which the audit log has no line, because it could not be written")


class Audit:
    """Takes lines, and writes them while `writing` runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._is_failing = False
        self._log = logger("serve")

    def note(
        self, *, caller: str, method: str, path: str, query: bytes, weight: int, status: int, costs: Mapping[str, int]
    ) -> None:
        """Add a line; `costs` are such as tokens, each a member of its own."""
        if len(self._lines) >= MOST_LINES:
            _lost.inc()
            return
        entry = {
            "time_ms": time.time_ns() // 1_000_000,
            "caller": caller,
            "method": method,
            "path": _shown(path),
            "query": _shown(query.decode("latin-1")),
            "weight": weight,
            "status": status,
            **costs,
        }
        self._lines.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    async def writing(self) -> None:
        """Write until cancelled; what is left then is written by `flush`."""
        while True:
            await asyncio.sleep(_WRITE_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what there is."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            await asyncio.to_thread(self._append, b"".join(lines))
        except OSError as error:
            self._lines = lines + self._lines  # the next attempt may succeed
            if not self._is_failing:
                self._log.error("the audit log cannot be written", path=str(self._path), reason=error.strerror)
            self._is_failing = True
            return
        if self._is_failing:
            self._log.info("the audit log is written again")
        self._is_failing = False

    def _append(self, content: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(content)


def _shown(text: str) -> str:
    """Without escapes that a key could hide behind, and without keys."""
    return without_keys(unquote(text, errors="replace"))[:_MOST_CHARACTERS]
