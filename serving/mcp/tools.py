"""The tools: each is one question to the API. Assistants read their docstrings, and what describes their arguments."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from market.bar import BarKind
from serving.client.connection import ApiConnection
from serving.client.errors import ApiError
from serving.mcp.tables import Json, iso_time, shortened, time_ms

DEFAULT_ROWS, MAX_ROWS = 50, 200
"""Of one answer: an assistant has to read all of it."""
_TIME = "UTC, such as 2026-01-31T12:00Z, or epoch milliseconds"

Parameters = dict[str, str | int | None]
ExchangeName = Annotated[str, Field(description="such as binance; the tool `exchanges` lists them")]
SymbolName = Annotated[str, Field(description="BASE-QUOTE such as BTC-USDT; perpetuals BTC-USDT-PERP")]
FromTime = Annotated[str | None, Field(description=f"first time wanted: {_TIME}")]
UntilTime = Annotated[str | None, Field(description=f"first time not wanted: {_TIME}")]
RowLimit = Annotated[int, Field(ge=1, le=MAX_ROWS, description="rows at most; `rest` says how to get more")]
PageCursor = Annotated[str | None, Field(description="from `rest` of the answer before, to go on there")]


class MarketTools:
    """The tools over one connection."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def candles(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        timeframe: Annotated[str, Field(description="any length: 1m, 7m, 1h, 3d, 1w, 1M")] = "1h",
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        revision: Annotated[
            Literal["latest", "first"], Field(description="latest: as corrected; first: as told when the minute closed")
        ] = "latest",
    ) -> Json:
        """Closed candles (OHLCV) of a market, oldest first; without from_time the last ones before until_time, or now.

        `coverage` says which are missing and how complete the others are.
        """
        answer = await self._ask(
            "/v1/candles",
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe,
            from_ms=_ms("from_time", from_time),
            until_ms=_ms("until_time", until_time),
            limit=limit,
            revision=revision,
        )
        told = shortened(answer, "candles")
        if from_time is None and answer["candles"]:
            told["rest"] = f"earlier ones: ask with until_time={iso_time(answer['coverage']['from_ms'])}"
        return told

    async def trades(self, *, exchange: ExchangeName, symbol: SymbolName, limit: RowLimit = DEFAULT_ROWS) -> Json:
        """The latest trades of a market, newest first; earlier ones: `historical_trades`."""
        return shortened(await self._ask("/v1/trades", exchange=exchange, symbol=symbol, limit=limit), "trades")

    async def tickers(
        self,
        *,
        exchange: ExchangeName,
        symbols: Annotated[list[str], Field(min_length=1, max_length=50, description="such as BTC-USDT")],
    ) -> Json:
        """Rolling statistics over 1 hour, 24 hours and 7 days: change, high, low, volume, vwap, realised volatility.

        Each window says how many of its minutes had a candle, and the worst status among these.
        """
        return shortened(await self._ask("/v1/tickers", exchange=exchange, symbols=",".join(symbols)), "tickers")

    async def historical_trades(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        cursor: PageCursor = None,
    ) -> Json:
        """Trades of any time, oldest first."""
        asked: Parameters = {"exchange": exchange, "symbol": symbol, "limit": limit, "cursor": cursor}
        return await self._page("/v1/historical", "trades", from_time, until_time, asked)

    async def signals(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        cursor: PageCursor = None,
    ) -> Json:
        """What stood out in a market, oldest first: unusual volume and returns, outliers, spreads, correlations."""
        asked: Parameters = {"exchange": exchange, "symbol": symbol, "limit": limit, "cursor": cursor}
        return await self._page("/v1/signals", "signals", from_time, until_time, asked)

    async def bars(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        kind: Annotated[BarKind, Field(description="what a bar counts: trades, base units or quote units")],
        threshold: Annotated[str, Field(description="how much makes a bar, such as 1000000")],
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        cursor: PageCursor = None,
    ) -> Json:
        """Bars that close after so many trades, so much volume or so much money, by when they closed, oldest first."""
        asked: Parameters = {"exchange": exchange, "symbol": symbol, "limit": limit, "cursor": cursor}
        asked |= {"kind": kind.value, "threshold": threshold}
        return await self._page("/v1/bars", "bars", from_time, until_time, asked)

    async def funding(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        cursor: PageCursor = None,
    ) -> Json:
        """Funding rates of a perpetual, oldest first."""
        asked: Parameters = {"exchange": exchange, "symbol": symbol, "limit": limit, "cursor": cursor}
        return await self._page("/v1/funding", "funding", from_time, until_time, asked)

    async def gaps(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: FromTime = None,
        until_time: UntilTime = None,
        limit: RowLimit = DEFAULT_ROWS,
        cursor: PageCursor = None,
    ) -> Json:
        """Trades that a feed missed: gaps opened, filled, or given up as holes, by when they were told."""
        asked: Parameters = {"exchange": exchange, "symbol": symbol, "limit": limit, "cursor": cursor}
        return await self._page("/v1/gaps", "gaps", from_time, until_time, asked)

    async def instruments(
        self, *, exchange: ExchangeName, limit: RowLimit = DEFAULT_ROWS, cursor: PageCursor = None
    ) -> Json:
        """What an exchange trades, by symbol: base, quote, status, price and size steps."""
        answer = await self._ask("/v1/instruments", exchange=exchange, limit=limit, cursor=cursor)
        return shortened(answer, "instruments")

    async def exchanges(self) -> Json:
        """The exchanges whose instruments are known."""
        return await self._ask("/v1/exchanges")

    async def coverage(
        self,
        *,
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: Annotated[str, Field(description=f"first time wanted: {_TIME}")],
        until_time: Annotated[str, Field(description=f"first time not wanted: {_TIME}, at most 366 days later")],
    ) -> Json:
        """By UTC day, how many of its 1,440 minutes have a candle, and how complete these are. Other days have none."""
        span = {"from_ms": _ms("from_time", from_time), "until_ms": _ms("until_time", until_time)}
        return await self._ask("/v1/coverage", exchange=exchange, symbol=symbol, **span)

    async def estimate(
        self,
        *,
        of: Annotated[
            Literal["candles", "historical", "signals", "bars", "funding", "gaps"],
            Field(description="which question; historical: trades of any time"),
        ],
        exchange: ExchangeName,
        symbol: SymbolName,
        from_time: FromTime = None,
        until_time: UntilTime = None,
        timeframe: Annotated[str | None, Field(description="of candles: 1m, 7m, 1h, 3d, 1w, 1M")] = None,
        kind: Annotated[BarKind | None, Field(description="of bars: what a bar counts")] = None,
        threshold: Annotated[str | None, Field(description="of bars: how much makes a bar")] = None,
    ) -> Json:
        """How many rows and bytes a question would give at most, and out of which stores, without asking it."""
        asked: Parameters = {"of": of, "exchange": exchange, "symbol": symbol, "timeframe": timeframe}
        asked |= {"kind": kind and kind.value, "threshold": threshold}
        asked |= {"from_ms": _ms("from_time", from_time), "until_ms": _ms("until_time", until_time)}
        return await self._answered(self._connection.post, "/v1/estimate", asked)

    async def health(self) -> Json:
        """Which stores answer: hot (the newest), warm, cold (history)."""
        return await self._ask("/v1/health")

    async def _page(
        self, path: str, name: str, from_time: str | None, until_time: str | None, asked: Parameters
    ) -> Json:
        span = {"from_ms": _ms("from_time", from_time), "until_ms": _ms("until_time", until_time)}
        return shortened(await self._ask(path, **asked, **span), name)

    async def _ask(self, path: str, **parameters: str | int | None) -> Json:
        return await self._answered(self._connection.get, path, parameters)

    @staticmethod
    async def _answered(ask: Callable[[str, Parameters], bytes], path: str, parameters: Parameters) -> Json:
        """Raises `ToolError` with the API's sentence, which the assistant reads."""
        try:
            answer: Any = orjson.loads(await asyncio.to_thread(ask, path, parameters))
        except ApiError as error:
            raise ToolError(str(error)) from error
        return dict(answer)


def _ms(name: str, text: str | None) -> int | None:
    try:
        return time_ms(text)
    except ValueError:
        raise ToolError(f"{name} '{text}' is no time: give {_TIME}") from None
