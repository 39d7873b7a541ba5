"""The questions that most clients ask most often, answered without a framework: what hot has, as it stands.

Only plain questions are taken: the newest candles, the latest trades, tickers. What is anything else, or wrong, or not
in hot alone goes on to the whole interface, which gives the same answers in more time.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key
from market.timeframe import Timeframe
from serving.bounds import DEFAULT_CANDLES, DEFAULT_TRADES, MAX_SYMBOLS
from serving.hot_answers import candles_body, tickers_body, trades_body
from serving.hot_cache import HotCache
from serving.kept import KeptAnswer, send_kept, tagged
from serving.media_types import AnswerForm, accepted_form
from serving.planner import MAX_CANDLES
from serving.tiers import AwayError, HotTier
from serving.trades import MAX_TRADES

_READ = 4_096
"""Query strings that were read, and are not read again."""
_WHOLE = "whole"
"""The name of the whole answer beside that of the ticker alone."""


class _Candles(NamedTuple):
    market: MarketKey
    timeframe: Timeframe
    limit: int


class _Trades(NamedTuple):
    market: MarketKey
    limit: int


class _Tickers(NamedTuple):
    exchange: str
    markets: tuple[MarketKey, ...]


class HotRoutes:
    """An ASGI application in front of another: answers plain questions, and hands on all others."""

    def __init__(self, app: ASGIApp, hot: HotTier, cache: HotCache) -> None:
        self._app = app
        self._hot = hot
        self._cache = cache
        self._routes: dict[str, Callable[[bytes], Awaitable[KeptAnswer | None]]] = {
            "/v1/candles": self._candles,
            "/v1/trades": self._trades,
            "/v1/tickers": self._tickers,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        answer = None
        if route is not None and accepted_form(_header(scope, b"accept").decode("latin-1")) is AnswerForm.JSON:
            try:
                answer = await route(scope["query_string"])
            except AwayError:
                answer = None  # the whole interface names the tier that is away
        if answer is None:
            await self._app(scope, receive, send)
            return
        await send_kept(scope, send, answer)

    async def _candles(self, query: bytes) -> KeptAnswer | None:
        asked = _candles_asked(query)
        if asked is None:
            return None
        market, timeframe, limit = asked

        async def make() -> KeptAnswer | None:
            values = await self._hot.candle_values(market, timeframe, limit)
            return _tagged(candles_body(market, timeframe, values, limit))

        return await self._cache.answer(self._hot.candles_key(market, timeframe), limit, make)

    async def _trades(self, query: bytes) -> KeptAnswer | None:
        asked = _trades_asked(query)
        if asked is None:
            return None
        market, limit = asked

        async def make() -> KeptAnswer | None:
            return _tagged(trades_body(market, await self._hot.trade_values(market, limit), limit))

        return await self._cache.answer(self._hot.trades_key(market), limit, make)

    async def _tickers(self, query: bytes) -> KeptAnswer | None:
        asked = _tickers_asked(query)
        if asked is None:
            return None
        if len(asked.markets) == 1:
            return await self._only_ticker(asked.exchange, asked.markets[0])
        tickers: list[tuple[str, bytes]] = []
        for market in asked.markets:
            ticker = await self._ticker(market)
            if ticker is None:
                return None
            tickers.append((market.symbol, ticker.body))
        return tagged(tickers_body(asked.exchange, tickers))

    async def _only_ticker(self, exchange: str, market: MarketKey) -> KeptAnswer | None:
        async def make() -> KeptAnswer | None:
            value = await self._hot.ticker_value(market)
            return _tagged(None if value is None else tickers_body(exchange, [(market.symbol, value)]))

        return await self._cache.answer(self._hot.ticker_key(market), _WHOLE, make)

    async def _ticker(self, market: MarketKey) -> KeptAnswer | None:
        async def make() -> KeptAnswer | None:
            return _tagged(await self._hot.ticker_value(market))

        return await self._cache.answer(self._hot.ticker_key(market), None, make)


@lru_cache(maxsize=_READ)
def _candles_asked(query: bytes) -> _Candles | None:
    given = _parameters(query, {"exchange", "symbol", "timeframe", "limit"})
    market, limit = _market(given), _whole(given.get("limit", str(DEFAULT_CANDLES)), MAX_CANDLES)
    timeframe = given.get("timeframe", Timeframe.M1.value)
    if market is None or limit is None or timeframe not in Timeframe.__members__.values():
        return None
    return _Candles(market, Timeframe(timeframe), limit)


@lru_cache(maxsize=_READ)
def _trades_asked(query: bytes) -> _Trades | None:
    given = _parameters(query, {"exchange", "symbol", "limit"})
    market, limit = _market(given), _whole(given.get("limit", str(DEFAULT_TRADES)), MAX_TRADES)
    return None if market is None or limit is None else _Trades(market, limit)


@lru_cache(maxsize=_READ)
def _tickers_asked(query: bytes) -> _Tickers | None:
    given = _parameters(query, {"exchange", "symbols"})
    symbols = tuple(dict.fromkeys(given.get("symbols", "").split(",")))
    markets = [_market({"exchange": given.get("exchange", ""), "symbol": symbol}) for symbol in symbols]
    there = tuple(market for market in markets if market is not None)
    if len(there) < len(markets) or len(there) > MAX_SYMBOLS:
        return None
    return _Tickers(given["exchange"], there)


def _parameters(query: bytes, known: set[str]) -> dict[str, str]:
    """The parameters; none where one is unknown, comes twice or is no UTF-8: the whole interface says what is wrong."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=len(known))
    except ValueError:
        return {}
    given = dict(pairs)
    return given if len(given) == len(pairs) and given.keys() <= known else {}


def _market(given: dict[str, str]) -> MarketKey | None:
    if "exchange" not in given or "symbol" not in given:
        return None
    try:
        check_key(given["exchange"], given["symbol"])
    except MalformedError:
        return None
    return MarketKey(given["exchange"], given["symbol"])


def _whole(text: str, most: int) -> int | None:
    """The number in a text of ASCII digits, from 1 to `most`."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    return number if 1 <= number <= most else None


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


def _tagged(body: bytes | None) -> KeptAnswer | None:
    return None if body is None else tagged(body)
