"""The simulator's own record of what it sent, asked over HTTP."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from candlewick.verify.amounts import trimmed
from candlewick.verify.demands import Exemption, ExemptionKind
from candlewick.verify.expected import MINUTE_US, Sent, SpanUs
from runtime.errors import UnavailableError

_LOOK_BACK_MINUTES = (10, 120, 1440)
_TIMEOUT_S = 120.0


class Truth:
    """What the simulator says of itself. Use as an asynchronous context."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def keys(self) -> dict[str, str]:
        """Record key → the symbol as the exchange names it, of everything it trades."""
        info = await self._json("/api/v3/exchangeInfo")
        return {f"binance:{market['baseAsset']}-{market['quoteAsset']}": market["symbol"] for market in info["symbols"]}

    async def now_us(self) -> int:
        """Market time; no minute that ends later is over."""
        return int((await self._json("/sim/now"))["now_us"])

    async def trades(self, symbol: str, span: SpanUs) -> list[Sent]:
        """The trades of a span that some source gave correctly, in time order."""
        return [_parse(line.split(",")) for line in await self._lines("/sim/record", symbol, span)]

    async def exemptions(self, symbol: str, span: SpanUs) -> list[Exemption]:
        """The trades of a span that a client may lack, or have with other content, in time order."""
        rows = [line.rsplit(",", 1) for line in await self._lines("/sim/exceptions", symbol, span)]
        return [Exemption(_parse(row.split(",")), ExemptionKind(kind)) for row, kind in rows]

    async def before(self, symbol: str, before_us: int) -> list[Sent]:
        """The last trades before a time, one at least where there is any within a day; in time order."""
        for minutes in _LOOK_BACK_MINUTES:
            if before := await self.trades(symbol, SpanUs(before_us - minutes * MINUTE_US, before_us)):
                return before
        return []

    async def last_price(self, symbol: str, before_us: int) -> str | None:
        """The price of the last trade before a time, as far as a day back."""
        before = await self.before(symbol, before_us)
        return before[-1].price if before else None

    async def _lines(self, path: str, symbol: str, span: SpanUs) -> list[str]:
        query = {"symbol": symbol, "from_us": str(span.from_us), "until_us": str(span.until_us)}
        return (await self._text(path, query)).splitlines()[1:]

    async def _json(self, path: str) -> Any:
        async with self._session.get(f"{self._url}{path}") as response:
            response.raise_for_status()
            return await response.json()

    async def _text(self, path: str, query: dict[str, str]) -> str:
        try:
            async with self._session.get(f"{self._url}{path}", params=query) as response:
                response.raise_for_status()
                return await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the simulator at {self._url} does not give its record: {error}") from error


def _parse(row: Sequence[str]) -> Sent:
    """A row ``id,price,qty,time_us,is_buyer_maker``: where the buyer is the maker, the taker sold."""
    trade_id, price, qty, time_us, buyer_is_maker = row
    side = {"true": "sell", "false": "buy"}[buyer_is_maker.lower()]
    return Sent(int(trade_id), trimmed(price), trimmed(qty), side, int(time_us))
