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
from candlewick.verify.logged import KeptKind, KeptRow, row_of, rows_of
from runtime.errors import UnavailableError
from runtime.settings import Settings, redis_address

_TIMEOUT_S = 30.0
_CLUSTER = "+cluster"


class HotRows:
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
        candles: dict[int, Fields] = {}
        for fields in await self._members("candles:1m", key):
            open_ms = fields["open_time_ms"]
            if open_ms in candles:
                self._findings.add(FindingKind.DUPLICATE, f"the candle of {key} at {clock(open_ms * 1000)} in Redis")
            candles[open_ms] = fields
        return candles

    async def kept(self, kind: KeptKind, key: str, part: str = "") -> list[KeptRow]:
        """The longer candles of a timeframe, the ticker, the bars of a size (``tick:7``), or the signals of a market.

        `part` is the timeframe or the size. Raises `UnavailableError` where Redis does not answer.
        """
        if kind is not KeptKind.TICKER:
            of_kind = f"{kind}s:{part}" if part else f"{kind}s"
            return [row_of(kind, fields) for fields in await self._members(of_kind, key)]
        with self._errors():
            value = cast("bytes | None", await self._client.get(f"{self._prefix}cw:ticker:{{{key}}}"))
        return [] if value is None else list(rows_of(kind, json.loads(value)))

    async def _members(self, of_kind: str, key: str) -> list[Fields]:
        with self._errors():
            members = cast("list[bytes]", await self._client.zrange(f"{self._prefix}cw:{of_kind}:{{{key}}}", 0, -1))
        return [json.loads(member) for member in members]

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
