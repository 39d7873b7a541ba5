"""The API's side: what it answers of a market, asked as any client asks."""

from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import stamina

from candlewick.verify.check import StoredTrade, check_candles
from candlewick.verify.expected import Fields, SpanUs
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import KeyLog, trade_digest
from runtime.errors import CandlewickError, UnavailableError

NEWEST_CANDLES, NEWEST_TRADES = 30, 100
"""So many are asked for without a time, as a page or a bot does: these answers come another way than those by time."""
_TIMEOUT_S = 60.0
_START_S = 20.0
"""The API may just have been killed: it comes back by itself."""


class ServedTrade(NamedTuple):
    """A trade of an answer."""

    stored: StoredTrade
    time_us: int


class ServedRecords:
    """Asks the API at `url`. Use as an asynchronous context.

    Its methods raise `UnavailableError` where the API does not answer, and `CandlewickError` where it refuses.
    """

    def __init__(self, url: str, findings: Findings) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        self._findings = findings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def check_candles(self, key: str, span: SpanUs, expected: Sequence[Fields]) -> None:
        """Every 1m candle of a span has to be in the answer, and no other."""
        from_ms, until_ms = span.from_us // 1000, span.until_us // 1000
        asked = {"from_ms": from_ms, "until_ms": until_ms, "limit": len(span.minutes())}
        await self._check("the API", key, asked, expected)

    async def check_newest(self, key: str, log: KeyLog, expected: Sequence[Fields]) -> None:
        """The newest candles have to be the last of those expected, the newest trades the last of the log."""
        newest = expected[-NEWEST_CANDLES:]
        if newest:
            await self._check("the API's newest", key, {"limit": len(newest)}, newest)
        trades = [_trade(key, fields) for fields in await self._asked("/v1/trades", key, {"limit": NEWEST_TRADES})]
        check_newest_trades(key, log, trades, self._findings)

    async def _check(self, place: str, key: str, asked: dict[str, int], expected: Sequence[Fields]) -> None:
        answered = {fields["open_time_ms"]: fields for fields in await self._asked("/v1/candles", key, asked)}
        check_candles(place, key, answered, expected, self._findings)
        for open_ms in sorted(answered.keys() - {fields["open_time_ms"] for fields in expected}):
            self._findings.add(FindingKind.DIFFERENT, f"{place} has a candle of {key} that opens at {open_ms} ms")

    async def _asked(self, path: str, key: str, asked: dict[str, int]) -> list[Fields]:
        """The records of an answer; none where the API does not know the market."""
        exchange, _, symbol = key.partition(":")
        query = {"exchange": exchange, "symbol": symbol} | {name: str(value) for name, value in asked.items()}
        try:
            status, answer = await self._get(path, query)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the API at {self._url} does not answer while verifying: {error}") from error
        self._findings.asked += 1
        if status == HTTPStatus.NOT_FOUND:
            return []
        if status != HTTPStatus.OK:
            raise CandlewickError(f"the API at {self._url} refuses a verifying question: {answer.get('detail')}")
        records: list[Fields] = answer[path.rpartition("/")[2]]
        return records

    @stamina.retry(on=aiohttp.ClientConnectionError, attempts=None, timeout=_START_S, wait_max=1.0)
    async def _get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        async with self._session.get(f"{self._url}{path}", params=query) as response:
            return response.status, await response.json(content_type=None)


def check_newest_trades(key: str, log: KeyLog, answered: Sequence[ServedTrade], findings: Findings) -> None:
    """The answer has to have the newest trades of the log, each once and unchanged, newest first.

    Of an id that was told twice the first copy counts. Trades of one time may come in any order.
    """
    logged: dict[str, tuple[int, int]] = {}
    for trade_id, digest, time_us in zip(log.ids, log.digests, log.times_us, strict=True):
        logged.setdefault(trade_id, (time_us, digest))
    seen: set[str] = set()
    before_us = None
    for (trade_id, digest), time_us in answered:
        name = f"trade {trade_id} of {key} among the API's newest"
        if trade_id in seen:
            findings.add(FindingKind.DUPLICATE, name)
        elif logged.get(trade_id) != (time_us, digest):
            findings.add(FindingKind.DIFFERENT, name)
        elif before_us is not None and time_us > before_us:
            findings.add(FindingKind.DIFFERENT, f"{name}: it comes behind an older one")
        seen.add(trade_id)
        before_us = time_us
    is_whole = len(answered) < NEWEST_TRADES
    for trade_id, (time_us, _) in logged.items():
        if trade_id not in seen and (is_whole or (before_us is not None and time_us > before_us)):
            findings.add(FindingKind.MISSING, f"trade {trade_id} of {key} among the API's newest")


def _trade(key: str, fields: Fields) -> ServedTrade:
    digest = trade_digest(
        key=key,
        trade_id=fields["trade_id"],
        price=fields["price"],
        qty=fields["qty"],
        side=fields["side"],
        time_us=fields["time_us"],
    )
    return ServedTrade(StoredTrade(fields["trade_id"], digest), fields["time_us"])
