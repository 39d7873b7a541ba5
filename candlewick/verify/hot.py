"""Redis's side, by raw commands."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from redis import RedisError
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException

from candlewick.verify.amounts import clock
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from runtime.errors import UnavailableError
from runtime.settings import Settings, redis_address

_TIMEOUT_S = 30.0
_CLUSTER = "+cluster"


class HotCandles:
    """Asks Redis. Use as an asynchronous context."""

    def __init__(self, settings: Settings, findings: Findings) -> None:
        url = redis_address(settings)
        self._host = urlsplit(url).hostname
        self._prefix = settings.prefix
        with self._errors():
            self._client = _client(url)
        self._findings = findings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def candles(self, key: str) -> Mapping[int, Fields]:
        """Open time in milliseconds → the 1m candle; two of one minute are a finding.

        Raises `UnavailableError` where Redis does not answer.
        """
        with self._errors():
            members = cast("list[bytes]", await self._client.zrange(f"{self._prefix}cw:candles:1m:{{{key}}}", 0, -1))
        candles: dict[int, Fields] = {}
        for member in members:
            fields: Fields = json.loads(member)
            open_ms = fields["open_time_ms"]
            if open_ms in candles:
                self._findings.add(FindingKind.DUPLICATE, f"the candle of {key} at {clock(open_ms * 1000)} in Redis")
            candles[open_ms] = fields
        return candles

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, RedisClusterException, OSError, ValueError) as error:
            raise UnavailableError(f"Redis at {self._host} does not answer while verifying: {error}") from error


def _client(url: str) -> Redis | RedisCluster:
    scheme, _, address = url.partition("://")
    if scheme.endswith(_CLUSTER):
        url = f"{scheme.removesuffix(_CLUSTER)}://{address}"
        return RedisCluster.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    return Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
