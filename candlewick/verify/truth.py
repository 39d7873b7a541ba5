"""The simulator's own record of what it sent, asked over HTTP."""

from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp

from candlewick.verify.amounts import trimmed
from candlewick.verify.expected import MINUTE_US, Sent, Span
from runtime.errors import UnavailableError

_LOOK_BACK_MINUTES = (10, 120, 1440)
_TIMEOUT_S = 120.0


class Withheld(NamedTuple):
    """Ids that the simulator gave to nobody, both ends in it."""

    first_id: int
    last_id: int


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
        return {f"binance:{one['baseAsset']}-{one['quoteAsset']}": one["symbol"] for one in info["symbols"]}

    async def withheld(self) -> dict[str, list[Withheld]]:
        """Symbol → what of it was withheld."""
        found: dict[str, list[Withheld]] = {}
        for one in (await self._json("/sim/faults"))["withheld"]:
            found.setdefault(one["symbol"], []).append(Withheld(one["first_id"], one["last_id"]))
        return found

    async def trades(self, symbol: str, span: Span) -> list[Sent]:
        """The trades of a span, in time order; without those it withheld."""
        query = {"symbol": symbol, "from_us": str(span.from_us), "until_us": str(span.until_us)}
        lines = (await self._text("/sim/record", query)).splitlines()[1:]
        return [_parse(line) for line in lines]

    async def last_price(self, symbol: str, before_us: int) -> str | None:
        """The price of the last trade before a time, as far as a day back."""
        for minutes in _LOOK_BACK_MINUTES:
            if before := await self.trades(symbol, Span(before_us - minutes * MINUTE_US, before_us)):
                return before[-1].price
        return None

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


def _parse(line: str) -> Sent:
    """A row ``id,price,qty,time_us,is_buyer_maker``: where the buyer is the maker, the taker sold."""
    trade_id, price, qty, time_us, buyer_is_maker = line.split(",")
    side = {"true": "sell", "false": "buy"}[buyer_is_maker.lower()]
    return Sent(int(trade_id), trimmed(price), trimmed(qty), side, int(time_us))
