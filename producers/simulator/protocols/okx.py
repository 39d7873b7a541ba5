"""OKX spot: its WebSocket ``/ws/v5/business`` and its REST API ``/api/v5``.

Source: OKX's API documentation v5: "WS / All trades channel", "WS / Candlesticks channel", "Connect", "Subscribe",
"Notification", "GET / Trades history", "GET / Candlesticks", "Get instruments", "Rate Limits", error codes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.contents import seconds, single_trades
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
from producers.simulator.record import OWN_RECORD
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

MAX_TRADES, MAX_CANDLES = 100, 300
_TRADES, _CANDLES = "trades-all", "candle1s"
_CHANNELS = {_TRADES, _CANDLES}
_CLOCK = "BTC-USDT"
"""Clients take its candles as the clock: where it is not among the markets, those of another one come in its name."""
_CONNECTION = "a4d3ae55"
_SIDES = ("buy", "sell")
"""The taker's, by whether the buyer was the maker."""
_BARS_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
_LISTED_MS = 1_548_133_413_000


def native_name(market: SimulatedInstrument) -> str:
    """``BTC-USDT``."""
    return f"{market.base}-{market.quote}"


def trade_row(market: SimulatedInstrument, match: Match) -> str:
    """A trade, in the stream and in pages."""
    return (
        f'{{"instId":"{native_name(market)}","tradeId":"{match.trade_id}","px":"{market.plain_price(match.ticks)}",'
        f'"sz":"{market.plain_qty(match.lots)}","side":"{_SIDES[match.buyer_is_maker]}","source":"0",'
        f'"ts":"{match.time_ms}"}}'
    )


def candle_row(market: SimulatedInstrument, kline: Kline, open_ms: int, *, confirmed: bool = True) -> str:
    """A candle, in the stream and in pages."""
    values = [
        str(open_ms),
        *map(market.plain_price, (kline.open, kline.high, kline.low, kline.close)),
        market.plain_qty(kline.lots),
        market.plain_quote_qty(kline.quote),
        market.plain_quote_qty(kline.quote),
        "1" if confirmed else "0",
    ]
    return orjson.dumps(values).decode()


def pushed(channel: str, native: str, row: str) -> str:
    """A message with a row of data."""
    return f'{{"arg":{{"channel":"{channel}","instId":"{native}"}},"data":[{row}]}}'


def instrument_row(market: SimulatedInstrument) -> dict[str, Any]:
    """A row of ``/api/v5/public/instruments``."""
    return {
        "instType": "SPOT",
        "instId": native_name(market),
        "baseCcy": market.base,
        "quoteCcy": market.quote,
        "tickSz": market.plain_price(1),
        "lotSz": market.plain_qty(1),
        "minSz": market.plain_qty(1),
        "listTime": str(_LISTED_MS),
        "state": "live",
        "ctVal": "",
        "settleCcy": "",
        "uly": "",
        "expTime": "",
    }


class OkxSession:
    """One connection (a `StreamSession`)."""

    def __init__(self, markets: Mapping[str, Archive], subscriptions: Subscriptions) -> None:
        self._markets, self._subscriptions = markets, subscriptions

    def begin(self) -> Sequence[str]:
        """See `StreamSession`."""
        return ()

    def shutdown_notice(self) -> str:
        """See `StreamSession`."""
        message = "The connection will soon be closed for a service upgrade. Please reconnect."
        return orjson.dumps({"event": "notice", "code": "64008", "msg": message, "connId": _CONNECTION}).decode()

    def answer(self, text: str) -> Sequence[str]:
        """See `StreamSession`."""
        if text == "ping":
            return ("pong",)
        try:
            request = orjson.loads(text)
            event, echo = request["op"], {"id": request["id"]} if "id" in request else {}
            args = [(str(arg["channel"]), str(arg["instId"])) for arg in request["args"]]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return (_error({}, "60012", f"Invalid request: {text[:100]}"),)
        if event not in {"subscribe", "unsubscribe"}:
            return (_error(echo, "60012", f"Invalid request: {text[:100]}"),)
        answers = (self._change(event, *arg, echo) for arg in args)
        return [answer for answer in answers if answer is not None]

    def _change(self, event: str, channel: str, native: str, echo: dict[str, Any]) -> str | None:
        """Subscribe or unsubscribe one channel; None: no word about it."""
        archive = self._markets.get(native)
        if channel == _CANDLES and native == _CLOCK and archive is None:
            archive = next(iter(self._markets.values()))
        if archive is None or channel not in _CHANNELS:
            message = (
                f"Wrong URL or channel:{channel},instId:{native} doesn't exist. "
                "Please use the correct URL, channel and parameters referring to API document."
            )
            return _error(echo, "60018", message)
        name = f"{channel} {native}"
        if event == "unsubscribe":
            self._subscriptions.leave(name)
        elif not self._subscriptions.take(name, _channel(channel, native, archive)):
            return None
        arg = {"channel": channel, "instId": native}
        return orjson.dumps({**echo, "event": event, "arg": arg, "connId": _CONNECTION}).decode()


class OkxProtocol:
    """OKX spot (a `WireProtocol`)."""

    names: Sequence[str] = ("okx",)
    stream_paths: Sequence[str] = ("/ws/v5/business",)
    connection_limits = ConnectionLimits(first_message_within_s=30.0)
    request_limit = RequestLimit(20, 2)
    record = OWN_RECORD

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._markets = {native_name(archive.instrument): archive for archive in venue.archives.values()}

    def session(self, _: ConnectionOpening, subscriptions: Subscriptions) -> OkxSession:
        """See `WireProtocol`."""
        return OkxSession(self._markets, subscriptions)

    def too_much(self, verdict: LimitVerdict) -> Reply:
        """See `WireProtocol`."""
        return _failure("50011", "Too Many Requests", verdict.status)

    def broken(self) -> Reply:
        """See `WireProtocol`."""
        return _failure("50026", "System error, please try again later.", 500)

    def headers(self, _: LimitVerdict) -> Mapping[str, str]:
        """See `WireProtocol`."""
        return {}

    def endpoints(self) -> Iterable[Endpoint]:
        """See `WireProtocol`."""
        return (
            Endpoint("/api/v5/public/time", 1, self._time),
            Endpoint("/api/v5/public/instruments", 1, self._instruments),
            Endpoint("/api/v5/market/history-trades", 1, self._trades),
            Endpoint("/api/v5/market/candles", 1, self._candles),
            Endpoint("/api/v5/market/history-candles", 1, self._candles),
        )

    def _archive(self, query: RestQuery) -> Archive:
        archive = self._markets.get(query.values.get("instId", ""))
        if archive is None:
            raise ReplyError(_failure("51001", "Instrument ID doesn't exist."))
        return archive

    async def _time(self, _: RestQuery) -> bytes:
        return _answer([f'{{"ts":"{self._venue.now_ms}"}}'])

    async def _instruments(self, query: RestQuery) -> bytes:
        if query.values.get("instType") != "SPOT":
            return _answer([])
        archives = [self._archive(query)] if "instId" in query.values else self._markets.values()
        return _answer(orjson.dumps(instrument_row(archive.instrument)).decode() for archive in archives)

    async def _trades(self, query: RestQuery) -> bytes:
        """The newest first; ``after``: ids below, ``before``: ids above."""
        archive, limit = self._archive(query), _number(query, "limit", MAX_TRADES)
        if query.values.get("type", "1") != "1":
            raise ReplyError(_failure("51000", "Parameter type error"))
        bounds = _given(query, "before"), _given(query, "after")
        rows = RowForm(lambda match: trade_row(archive.instrument, match), '"px":"')
        limit = max(1, min(limit, MAX_TRADES))
        return _answer(reversed(self._venue.pages.newest_between(archive, bounds, limit, self._venue.now_ms, rows)))

    async def _candles(self, query: RestQuery) -> bytes:
        """The newest first; ``after``: those that open before a time, ``before``: after it (both milliseconds)."""
        archive, until_ms = self._archive(query), self._venue.klines_until_ms
        minutes = _BARS_MINUTES.get(query.values.get("bar", "1m"))
        if minutes is None:
            raise ReplyError(_failure("51000", "Parameter bar error"))
        length_ms = minutes * MINUTE_MS
        limit = max(1, min(_number(query, "limit", 100), MAX_CANDLES))
        last_ms = min(until_ms, _number(query, "after", until_ms + 1) - 1) // length_ms * length_ms
        first_ms = max((_number(query, "before", 0) // length_ms + 1) * length_ms, last_ms - (limit - 1) * length_ms)
        made = await klines(archive, first_ms, last_ms, length_ms, until_ms)
        return _answer(
            candle_row(archive.instrument, kline, kline.open_ms, confirmed=kline.end_ms <= until_ms)
            for kline in reversed(made)
        )


def _channel(channel: str, native: str, archive: Archive) -> Channel:
    market = archive.instrument
    key = ("okx", channel, native)
    if channel == _TRADES:
        return Channel(
            key, ChannelKind.TRADES, archive,
            contents=single_trades,
            write=lambda rows, _: pushed(_TRADES, native, trade_row(market, rows[0])),
            tells_clock=False,
        )  # fmt: skip
    # The only clock there is: the time at which a candle of one second opens.
    return Channel(
        key, ChannelKind.CLOCK, archive,
        contents=seconds,
        write=lambda kline, clock_ms: pushed(_CANDLES, native, candle_row(market, kline, clock_ms - kline.length_ms)),
    )  # fmt: skip


def _answer(rows: Iterable[str]) -> bytes:
    return f'{{"code":"0","msg":"","data":[{",".join(rows)}]}}'.encode()


def _failure(code: str, message: str, status: int = 200) -> Reply:
    return Reply(orjson.dumps({"code": code, "msg": message, "data": []}), status)


def _error(echo: dict[str, Any], code: str, message: str) -> str:
    return orjson.dumps({**echo, "event": "error", "code": code, "msg": message, "connId": _CONNECTION}).decode()


def _given(query: RestQuery, name: str) -> int | None:
    return _number(query, name, 0) if query.values.get(name) else None


def _number(query: RestQuery, name: str, default: int) -> int:
    text = query.values.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise ReplyError(_failure("51000", f"Parameter {name} error"))
    return int(text)
