"""The questions that most clients ask most often, answered without a framework: what hot has, as it stands.

Only plain questions are taken: the newest candles, the latest trades, tickers. What is anything else, or wrong, or not
in hot alone goes on to the whole interface, which gives the same answers in more time.
"""

import hashlib
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
from serving.hot_cache import HotCache, KeptAnswer
from serving.media_types import AnswerForm, accepted_form
from serving.planner import MAX_CANDLES
from serving.tiers import AwayError, HotTier
from serving.trades import MAX_TRADES

_READ = 4_096
"""Query strings that were read, and are not read again."""


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
        await _send(scope, send, answer)

    async def _candles(self, query: bytes) -> KeptAnswer | None:
        asked = _candles_asked(query)
        if asked is None:
            return None
        market, timeframe, limit = asked

        async def make() -> KeptAnswer | None:
            values = await self._hot.candle_values(market, timeframe, limit)
            return _kept(candles_body(market, timeframe, values, limit))

        return await self._cache.answer(self._hot.candles_key(market, timeframe), limit, make)

    async def _trades(self, query: bytes) -> KeptAnswer | None:
        asked = _trades_asked(query)
        if asked is None:
            return None
        market, limit = asked

        async def make() -> KeptAnswer | None:
            return _kept(trades_body(market, await self._hot.trade_values(market, limit), limit))

        return await self._cache.answer(self._hot.trades_key(market), limit, make)

    async def _tickers(self, query: bytes) -> KeptAnswer | None:
        asked = _tickers_asked(query)
        if asked is None:
            return None
        tickers: list[tuple[str, bytes]] = []
        for market in asked.markets:
            ticker = await self._ticker(market)
            if ticker is None:
                return None
            tickers.append((market.symbol, ticker.body))
        return _kept(tickers_body(asked.exchange, tickers))

    async def _ticker(self, market: MarketKey) -> KeptAnswer | None:
        async def make() -> KeptAnswer | None:
            return _kept(await self._hot.ticker_value(market))

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


def _kept(body: bytes | None) -> KeptAnswer | None:
    """The answer with its entity tag: a hash of the body."""
    if body is None:
        return None
    return KeptAnswer(body, b'"%b"' % hashlib.blake2b(body, digest_size=8).hexdigest().encode())


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


async def _send(scope: Scope, send: Send, answer: KeptAnswer) -> None:
    """The answer, or 304 where the client has it (RFC 9110, 13.1.2)."""
    known = _header(scope, b"if-none-match")
    if known and answer.etag in known.replace(b"W/", b"").split(b", "):
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", answer.etag)]})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
        (b"etag", answer.etag),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
