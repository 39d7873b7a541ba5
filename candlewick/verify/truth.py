"""The simulator's own record of what it sent, asked over HTTP."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from candlewick.verify.amounts import trimmed
from candlewick.verify.demands import NEVER_GIVEN, Exemption, ExemptionKind
from candlewick.verify.expected import MINUTE_US, Sent, SpanUs
from candlewick.verify.spoken import CONNECTED, SPOKEN, SpokenMarket
from runtime.errors import UnavailableError

_LOOK_BACK_MINUTES = (10, 120, 1440)
_TIMEOUT_S = 120.0
_NUMBERED = "binance"
"""The exchange whose ids are the market's own numbers."""


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

    async def keys(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, SpokenMarket]:
        """Record key → market, of those of the `wanted` ones (exchange → symbols) that it trades."""
        info = await self._json("/api/v3/exchangeInfo")
        names = {market["symbol"]: f"{market['baseAsset']}-{market['quoteAsset']}" for market in info["symbols"]}
        return {
            f"{SPOKEN[exchange].key}:{names[symbol]}{SPOKEN[exchange].suffix}": SpokenMarket(exchange, symbol)
            for exchange, symbols in wanted.items()
            for symbol in symbols
            if symbol in names
        }

    async def now_us(self) -> int:
        """Market time; no minute that ends later is over."""
        return int((await self._json("/sim/now"))["now_us"])

    async def trades(self, market: SpokenMarket, span: SpanUs) -> list[Sent]:
        """The trades of a span that some source gave correctly, in time order."""
        return [_parse(row, number) for row, number in await self._numbered("/sim/record", market, span)]

    async def exemptions(self, market: SpokenMarket, span: SpanUs) -> list[Exemption]:
        """The trades of a span that a client may lack, or have with other content, in time order."""
        rows = await self._numbered("/sim/exceptions", market, span)
        return [Exemption(_parse(row[:-1], number), ExemptionKind(row[-1])) for row, number in rows]

    async def all_trades(self, market: SpokenMarket, span: SpanUs) -> list[Sent]:
        """The trades of a span, also those that no source gave: the exchange's own klines count them."""
        never = {
            exemption.trade.number: exemption.trade
            for exemption in await self.exemptions(market, span)
            if exemption.kind in NEVER_GIVEN
        }
        given = [trade for trade in await self.trades(market, span) if trade.number not in never]
        return sorted([*given, *never.values()], key=lambda trade: (trade.time_us, trade.number))

    async def before(self, market: SpokenMarket, before_us: int) -> list[Sent]:
        """The last trades before a time, one at least where there is any within a day; in time order."""
        for minutes in _LOOK_BACK_MINUTES:
            if before := await self.trades(market, SpanUs(before_us - minutes * MINUTE_US, before_us)):
                return before
        return []

    async def last_price(self, market: SpokenMarket, before_us: int) -> str | None:
        """The price of the last trade before a time, as far as a day back, also of one that no source gave."""
        before = await self.before(market, before_us)
        if not before:
            return None
        return (await self.all_trades(market, SpanUs(before[-1].time_us, before_us)))[-1].price

    async def _numbered(self, path: str, market: SpokenMarket, span: SpanUs) -> list[tuple[list[str], int]]:
        """The rows of a table in the exchange's own ids, each with the market's number of its trade."""
        rows = await self._rows(path, market, span)
        if market.spoken.best != CONNECTED:
            return [(row, int(row[0])) for row in rows]
        numbered = await self._rows(path, market._replace(exchange=_NUMBERED), span)
        return [(row, int(other[0])) for row, other in zip(rows, numbered, strict=True)]

    async def _rows(self, path: str, market: SpokenMarket, span: SpanUs) -> list[list[str]]:
        query = {
            "symbol": market.symbol,
            "protocol": market.exchange,
            "from_us": str(span.from_us),
            "until_us": str(span.until_us),
        }
        return [line.split(",") for line in (await self._text(path, query)).splitlines()[1:]]

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


def _parse(row: Sequence[str], number: int) -> Sent:
    """A row ``id,price,qty,time_us,is_buyer_maker``: where the buyer is the maker, the taker sold."""
    trade_id, price, qty, time_us, buyer_is_maker = row
    side = {"true": "sell", "false": "buy"}[buyer_is_maker.lower()]
    return Sent(trade_id, trimmed(price), trimmed(qty), side, int(time_us), number)
