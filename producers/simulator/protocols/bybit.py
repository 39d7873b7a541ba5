"""Bybit v5: its WebSockets ``/v5/public/spot`` and ``/v5/public/linear``, and its REST API ``/v5/market``.

Each market is in both categories, with the same trades. The ids are UUIDs, made from the market's own id and its taker
order: `/sim/record` tells them. ``seq`` is that of the taker order: trades of one order have one price and one time.
Source: Bybit's API documentation v5: "Websocket Connect", "Trade", "Ticker", "Orderbook" (WebSocket), "Get Public
Trading History", "Get Instruments Info", "Get Kline", "Get Funding Rate History", "Get Tickers", "Get Bybit
Server Time", "Rate Limit Rules", "Error Codes".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from market.timeframe import HOUR_MS, MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.contents import seconds, taker_orders
from producers.simulator.funding import EVERY_MS, expected, newest_settled
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument
from producers.simulator.klines import Kline, klines
from producers.simulator.limits import LimitVerdict, RequestLimit
from producers.simulator.pages import RowForm
from producers.simulator.protocol import (
    ConnectionLimits,
    ConnectionOpening,
    Endpoint,
    Reply,
    ReplyError,
    RestQuery,
    Subscriptions,
)
from producers.simulator.protocols.texts import uuid_of
from producers.simulator.record import RecordForm
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

SPOT, LINEAR = "spot", "linear"
MAX_TRADES = {SPOT: 60, LINEAR: 1_000}
MAX_SPOT_ARGS = 10
MAX_KLINES, MAX_INSTRUMENTS, MAX_RATES = 1_000, 1_000, 200
_TRADES, _TICKERS, _BEST = "publicTrade", "tickers", "orderbook.1"
_CONNECTION = "cf71a2d4-2f6c-4b7e-9a53-bc6d0f1b8a11"
_SIDES = ("Buy", "Sell")
"""The taker's, by whether the buyer was the maker."""
_INTERVALS = {str(minutes): minutes for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)} | {"D": 1_440}
_LAUNCHED_MS = 1_584_230_400_000


def trade_uuid(market: SimulatedInstrument, match: Match) -> str:
    """The id of a trade: ids may be reset, those of taker orders are not."""
    return uuid_of("bybit", market.symbol, match.trade_id, match.aggregate_id)


def trade_message(market: SimulatedInstrument, rows: Iterable[Match], clock_ms: int) -> str:
    """A message of trades."""
    trades = (
        f'{{"T":{match.time_ms},"s":"{market.symbol}","S":"{_SIDES[match.buyer_is_maker]}",'
        f'"v":"{market.plain_qty(match.lots)}","p":"{market.plain_price(match.ticks)}",'
        f'"i":"{trade_uuid(market, match)}","BT":false,"RPI":false,"seq":{match.aggregate_id}}}'
        for match in rows
    )
    return f'{{"topic":"publicTrade.{market.symbol}","type":"snapshot","ts":{clock_ms},"data":[{",".join(trades)}]}}'


def trade_row(market: SimulatedInstrument, match: Match) -> str:
    """A row of ``/v5/market/recent-trade``."""
    return (
        f'{{"execId":"{trade_uuid(market, match)}","symbol":"{market.symbol}",'
        f'"price":"{market.plain_price(match.ticks)}","size":"{market.plain_qty(match.lots)}",'
        f'"side":"{_SIDES[match.buyer_is_maker]}","time":"{match.time_ms}","isBlockTrade":false,"isRPITrade":false,'
        f'"seq":"{match.aggregate_id}"}}'
    )


def ticker_message(market: SimulatedInstrument, kline: Kline, clock_ms: int) -> str:
    """A ticker, which comes each second here."""
    data = f'{{"symbol":"{market.symbol}","lastPrice":"{market.plain_price(kline.close)}"}}'
    return (
        f'{{"topic":"tickers.{market.symbol}","ts":{clock_ms},"type":"snapshot","cs":{kline.end_ms // 1_000},'
        f'"data":{data}}}'
    )


def best_message(market: SimulatedInstrument, kline: Kline, clock_ms: int) -> str:
    """The best bid and ask, which come each second here; Bybit sends them on each change, and after 3 s without one."""
    lot = market.plain_qty(1)
    bid, ask = (f'[["{market.plain_price(ticks)}","{lot}"]]' for ticks in (kline.close, kline.close + 1))
    number = kline.end_ms // 1_000
    data = f'{{"s":"{market.symbol}","b":{bid},"a":{ask},"u":{number},"seq":{number}}}'
    return f'{{"topic":"{_BEST}.{market.symbol}","ts":{clock_ms},"type":"snapshot","data":{data},"cts":{clock_ms}}}'


def kline_row(market: SimulatedInstrument, kline: Kline) -> list[str]:
    """A row of ``/v5/market/kline``."""
    prices = map(market.plain_price, (kline.open, kline.high, kline.low, kline.close))
    return [str(kline.open_ms), *prices, market.plain_qty(kline.lots), market.plain_quote_qty(kline.quote)]


def instrument_row(market: SimulatedInstrument, category: str, *, is_suspended: bool = False) -> dict[str, Any]:
    """A row of ``/v5/market/instruments-info``."""
    row: dict[str, Any] = {
        "symbol": market.symbol,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "status": "Closed" if is_suspended else "Trading",
        "priceFilter": {"tickSize": market.plain_price(1)},
    }
    lot = market.plain_qty(1)
    if category == SPOT:
        return row | {"innovation": "0", "lotSizeFilter": {"basePrecision": lot, "minOrderQty": lot}}
    linear = {"contractType": "LinearPerpetual", "launchTime": str(_LAUNCHED_MS), "deliveryTime": "0"}
    return row | linear | {"settleCoin": market.quote, "lotSizeFilter": {"qtyStep": lot, "minOrderQty": lot}}


class BybitSession:
    """One connection (a `StreamSession`)."""

    def __init__(self, category: str, venue: Venue, subscriptions: Subscriptions) -> None:
        self._category, self._subscriptions = category, subscriptions
        self._markets, self._suspended = venue.archives, venue.suspended

    def begin(self) -> Sequence[str]:
        """See `StreamSession`."""
        return ()

    def shutdown_notice(self) -> None:
        """See `StreamSession`: Bybit says nothing."""
        return

    def answer(self, text: str) -> Sequence[str]:
        """See `StreamSession`: the topics of one request are taken together, or none because of one."""
        try:
            request = orjson.loads(text)
            operation, request_id = request["op"], str(request.get("req_id", ""))
            topics = [str(topic) for topic in request.get("args", [])]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return (_told("", "", "Invalid request", success=False),)
        if operation == "ping":
            return (_told("ping", request_id, "pong"),)
        if operation not in {"subscribe", "unsubscribe"}:
            return (_told(str(operation), request_id, "error:unknown op", success=False),)
        channels = {topic: self._channel(topic) for topic in topics}
        refusal = next((f"error:handler not found,topic:{topic}" for topic, made in channels.items() if not made), "")
        if self._category == SPOT and len(topics) > MAX_SPOT_ARGS:
            refusal = f"args size >{MAX_SPOT_ARGS}"
        if refusal:
            return (_told(operation, request_id, refusal, success=False),)
        for topic, channel in channels.items():
            if operation == "subscribe":
                self._subscriptions.take(topic, channel)
            else:
                self._subscriptions.leave(topic)
        return (_told(operation, request_id, operation if self._category == SPOT else ""),)

    def _channel(self, topic: str) -> Channel | None:
        kind, _, symbol = topic.rpartition(".")
        archive = self._markets.get(symbol)
        if archive is None or symbol in self._suspended:
            return None
        market = archive.instrument
        if kind == _TRADES:
            return Channel(
                ("bybit", topic), ChannelKind.TRADES, archive,
                contents=taker_orders,
                write=lambda rows, clock_ms: trade_message(market, rows, clock_ms),
            )  # fmt: skip
        clock = {_TICKERS: ticker_message, _BEST: best_message}.get(kind)
        if clock is not None:
            return Channel(
                ("bybit", topic), ChannelKind.CLOCK, archive,
                contents=seconds,
                write=lambda kline, clock_ms: clock(market, kline, clock_ms),
            )  # fmt: skip
        return None


class BybitProtocol:
    """Bybit spot and linear contracts (a `WireProtocol`)."""

    names: Sequence[str] = ("bybit", "bybit-linear")
    stream_paths: Sequence[str] = tuple(f"/v5/public/{category}" for category in (SPOT, LINEAR))
    connection_limits = ConnectionLimits()
    request_limit = RequestLimit(600, 5)
    record = RecordForm(trade_id=trade_uuid)

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def session(self, opening: ConnectionOpening, subscriptions: Subscriptions) -> BybitSession:
        """See `WireProtocol`."""
        return BybitSession(opening.path.rpartition("/")[2], self._venue, subscriptions)

    def too_much(self, verdict: LimitVerdict) -> Reply:
        """See `WireProtocol`: status 403 where an address asks too often."""
        if verdict.used > self.request_limit.weight:
            return Reply(b"access too frequent", 403)
        return self._failure(10_006, "Too many visits. Exceeded the API Rate Limit.")

    def broken(self) -> Reply:
        """See `WireProtocol`."""
        return self._failure(10_016, "Internal server error")

    def headers(self, _: LimitVerdict) -> Mapping[str, str]:
        """See `WireProtocol`."""
        return {}

    def endpoints(self) -> Iterable[Endpoint]:
        """See `WireProtocol`."""
        return (
            Endpoint("/v5/market/time", 1, self._time),
            Endpoint("/v5/market/instruments-info", 1, self._instruments),
            Endpoint("/v5/market/recent-trade", 1, self._trades),
            Endpoint("/v5/market/kline", 1, self._klines),
            Endpoint("/v5/market/funding/history", 1, self._funding),
            Endpoint("/v5/market/tickers", 1, self._linear_tickers),
        )

    async def _time(self, _: RestQuery) -> bytes:
        now_us = self._venue.now_us
        return self._answer(orjson.dumps({"timeSecond": str(now_us // 10**6), "timeNano": f"{now_us}000"}))

    async def _instruments(self, query: RestQuery) -> bytes:
        """Of linear contracts 500 a page, or as many as asked for; ``cursor`` is the place of the next one."""
        category = self._category(query)
        archives = list(self._venue.archives.values())
        if "symbol" in query.values:
            archives = [self._archive(query)]
        start, limit = 0, len(archives)
        if category == LINEAR:
            start, limit = self._number(query, "cursor", 0), min(self._number(query, "limit", 500), MAX_INSTRUMENTS)
        end = start + limit
        markets, suspended = [archive.instrument for archive in archives[start:end]], self._venue.suspended
        rows = [instrument_row(market, category, is_suspended=market.symbol in suspended) for market in markets]
        cursor = str(end) if end < len(archives) else ""
        return self._answer(orjson.dumps({"category": category, "list": rows, "nextPageCursor": cursor}))

    async def _trades(self, query: RestQuery) -> bytes:
        """The newest, newest first: there is no way to older ones."""
        category, archive = self._category(query), self._archive(query)
        most = MAX_TRADES[category]
        limit = max(1, min(self._number(query, "limit", min(500, most)), most))
        rows = RowForm(lambda match: trade_row(archive.instrument, match), '"price":"')
        page = reversed(self._venue.pages.newest(archive, limit, self._venue.now_ms, rows))
        return self._answer(f'{{"category":"{category}","list":[{",".join(page)}]}}'.encode())

    async def _klines(self, query: RestQuery) -> bytes:
        """The newest first: of ``start`` to ``end`` (milliseconds, both included) the last ones."""
        category, archive, until_ms = self._category(query), self._archive(query), self._venue.klines_until_ms
        minutes = _INTERVALS.get(query.values.get("interval", ""))
        if minutes is None:
            raise ReplyError(self._failure(10_001, "Invalid period!"))
        length_ms = minutes * MINUTE_MS
        limit = max(1, min(self._number(query, "limit", 200), MAX_KLINES))
        last_ms = min(until_ms, self._number(query, "end", until_ms)) // length_ms * length_ms
        start_ms = -(-self._number(query, "start", 0) // length_ms) * length_ms
        made = await klines(archive, max(start_ms, last_ms - (limit - 1) * length_ms), last_ms, length_ms, until_ms)
        rows = [kline_row(archive.instrument, kline) for kline in reversed(made)]
        return self._answer(orjson.dumps({"category": category, "symbol": archive.instrument.symbol, "list": rows}))

    async def _funding(self, query: RestQuery) -> bytes:
        """Settled rates of linear contracts, the newest first: of ``startTime`` to ``endTime`` the last ones."""
        market, values, now_ms = self._archive(query).instrument, query.values, self._venue.now_ms
        if values.get("category") != LINEAR or ("startTime" in values and "endTime" not in values):
            raise ReplyError(self._failure(10_001, "params error"))
        until_ms = min(self._number(query, "endTime", now_ms), now_ms) + 1
        limit = max(1, min(self._number(query, "limit", MAX_RATES), MAX_RATES))
        rows = [
            {"symbol": market.symbol, "fundingRate": rate, "fundingRateTimestamp": str(time_ms)}
            for time_ms, rate in newest_settled(market, self._number(query, "startTime", 0), until_ms, limit)
        ]
        return self._answer(orjson.dumps({"category": LINEAR, "list": rows}))

    async def _linear_tickers(self, query: RestQuery) -> bytes:
        """Of linear contracts what is expected, among others that nobody here asks for."""
        if query.values.get("category") != LINEAR:
            raise ReplyError(self._failure(10_001, "params error: Category is invalid"))
        markets = [archive.instrument for archive in self._venue.archives.values()]
        rows = [
            {
                "symbol": market.symbol,
                "markPrice": market.plain_price(market.typical_ticks),
                "fundingRate": rate,
                "nextFundingTime": str(time_ms),
                "fundingIntervalHour": str(EVERY_MS // HOUR_MS),
            }
            for market in markets
            for time_ms, rate in (expected(market, self._venue.now_ms),)
        ]
        return self._answer(orjson.dumps({"category": LINEAR, "list": rows}))

    def _category(self, query: RestQuery) -> str:
        category = query.values.get("category", "")
        if category not in MAX_TRADES:
            raise ReplyError(self._failure(10_001, "params error: Category is invalid"))
        return category

    def _archive(self, query: RestQuery) -> Archive:
        archive = self._venue.archives.get(query.values.get("symbol", ""))
        if archive is None:
            raise ReplyError(self._failure(10_001, "Not supported symbols"))
        return archive

    def _number(self, query: RestQuery, name: str, default: int) -> int:
        text = query.values.get(name) or str(default)
        if not (text.isascii() and text.isdigit()):
            raise ReplyError(self._failure(10_001, f"params error: {name} is invalid"))
        return int(text)

    def _answer(self, result: bytes) -> bytes:
        times = f'"retExtInfo":{{}},"time":{self._venue.now_ms}}}'.encode()
        return b'{"retCode":0,"retMsg":"OK","result":' + result + b"," + times

    def _failure(self, code: int, message: str) -> Reply:
        failure = {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": self._venue.now_ms}
        return Reply(orjson.dumps(failure))


def _told(operation: str, request_id: str, message: str, *, success: bool = True) -> str:
    told = {"success": success, "ret_msg": message, "conn_id": _CONNECTION, "req_id": request_id, "op": operation}
    return orjson.dumps(told).decode()
