"""Redis's side, by raw commands."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from candlewick.verify.amounts import clock
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from runtime.settings import Settings, redis_address
from sinks.redis.connect import connect, redis_errors


class HotCandles:
    """Asks Redis. Use as an asynchronous context."""

    def __init__(self, settings: Settings, findings: Findings) -> None:
        self._url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = connect(self._url)
        self._findings = findings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def candles(self, key: str) -> Mapping[int, Fields]:
        """Open time in milliseconds → the 1m candle; two of one minute are a finding."""
        with redis_errors(self._url):
            members = await self._client.execute_command("ZRANGE", f"{self._prefix}cw:candles:1m:{{{key}}}", 0, -1)
        found: dict[int, Fields] = {}
        for member in members:
            fields: Fields = json.loads(member)
            open_ms = fields["open_time_ms"]
            if open_ms in found:
                self._findings.add(FindingKind.DUPLICATE, f"the candle of {key} at {clock(open_ms * 1000)} in Redis")
            found[open_ms] = fields
        return found
