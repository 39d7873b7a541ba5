"""OKX: its WebSocket ``/ws/v5/business`` and its REST API ``/api/v5``.

Each market is traded on spot and as a perpetual swap, with the same trades; a swap's sizes count contracts.

Source: OKX's API documentation v5: "WS / All trades channel", "WS / Candlesticks channel", "Connect", "Subscribe",
"Notification", "GET / Trades history", "GET / Candlesticks", "Get instruments", "Get funding rate", "Get funding rate
history", "Rate Limits", error codes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from market.timeframe import DAY_MS, MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.contents import seconds, single_trades
from producers.simulator.funding import EVERY_MS, expected, newest_settled
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument, plain
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

MAX_TRADES, MAX_CANDLES, MAX_PAST_CANDLES, MAX_RATES = 100, 300, 100, 100
_TRADES, _CANDLES = "trades-all", "candle1s"
_CHANNELS = {_TRADES, _CANDLES}
_CLOCK = "BTC-USDT"
"""Clients take its candles as the clock: where it is not among the markets, those of another one come in its name."""
_CONNECTION = "a4d3ae55"
_SIDES = ("buy", "sell")
"""The taker's, by whether the buyer was the maker."""
_BARS_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
_LISTED_MS = 1_548_133_413_000
_CONTRACT_DECIMALS = 2
"""A swap's size is a number of contracts of a hundred lots each, with so many decimals."""
_SWAP = "-SWAP"
_RATES_KEPT_MS = 90 * DAY_MS


def native_name(market: SimulatedInstrument) -> str:
    """``BTC-USDT``; of the swap ``BTC-USDT-SWAP``."""
    return f"{market.base}-{market.quote}"


def size(market: SimulatedInstrument, native: str, lots: int) -> str:
    """A number of lots as the instrument counts: in coins, or in contracts."""
    return plain(lots, _CONTRACT_DECIMALS) if native.endswith(_SWAP) else market.plain_qty(lots)


def trade_row(market: SimulatedInstrument, native: str, match: Match) -> str:
    """A trade, in the stream and in pages."""
    return (
        f'{{"instId":"{native}","tradeId":"{match.trade_id}","px":"{market.plain_price(match.ticks)}",'
        f'"sz":"{size(market, native, match.lots)}","side":"{_SIDES[match.buyer_is_maker]}","source":"0",'
        f'"ts":"{match.time_ms}"}}'
    )


def candle_row(market: SimulatedInstrument, native: str, kline: Kline, open_ms: int, *, confirmed: bool = True) -> str:
    """A candle, in the stream and in pages: of a swap the second volume is in coins, else in the quote."""
    quote_qty = market.plain_quote_qty(kline.quote)
    values = [
        str(open_ms),
        *map(market.plain_price, (kline.open, kline.high, kline.low, kline.close)),
        size(market, native, kline.lots),
        market.plain_qty(kline.lots) if native.endswith(_SWAP) else quote_qty,
        quote_qty,
        "1" if confirmed else "0",
    ]
    return orjson.dumps(values).decode()


def pushed(channel: str, native: str, row: str) -> str:
    """A message with a row of data."""
    return f'{{"arg":{{"channel":"{channel}","instId":"{native}"}},"data":[{row}]}}'


def instrument_row(market: SimulatedInstrument, native: str, *, is_suspended: bool = False) -> dict[str, Any]:
    """A row of ``/api/v5/public/instruments``."""
    lot = size(market, native, 1)
    row = {
        "instType": "SPOT",
        "instId": native,
        "baseCcy": market.base,
        "quoteCcy": market.quote,
        "tickSz": market.plain_price(1),
        "lotSz": lot,
        "minSz": lot,
        "listTime": str(_LISTED_MS),
        "state": "suspend" if is_suspended else "live",
        "ctVal": "",
        "ctMult": "",
        "ctValCcy": "",
        "ctType": "",
        "settleCcy": "",
        "uly": "",
        "expTime": "",
    }
    if not native.endswith(_SWAP):
        return row
    contract = market.plain_qty(10**_CONTRACT_DECIMALS)
    in_contracts = {"ctVal": contract, "ctMult": "1", "ctValCcy": market.base, "ctType": "linear"}
    names = {"baseCcy": "", "quoteCcy": "", "settleCcy": market.quote, "uly": native_name(market)}
    return row | in_contracts | names | {"instType": "SWAP"}


class OkxSession:
    """One connection (a `StreamSession`)."""

    def __init__(
        self, markets: Mapping[str, Archive], suspended: Collection[str], subscriptions: Subscriptions
    ) -> None:
        self._markets, self._suspended, self._subscriptions = markets, suspended, subscriptions

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
        is_suspended = archive is not None and archive.instrument.symbol in self._suspended and channel == _TRADES
        if archive is None or channel not in _CHANNELS or is_suspended:
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
    """OKX spot and swaps (a `WireProtocol`)."""

    names: Sequence[str] = ("okx", "okx-swap")
    stream_paths: Sequence[str] = ("/ws/v5/business",)
    connection_limits = ConnectionLimits(first_message_within_s=30.0)
    request_limit = RequestLimit(20, 2)
    record = OWN_RECORD

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._spot = {native_name(archive.instrument): archive for archive in venue.archives.values()}
        self._swaps = {native + _SWAP: archive for native, archive in self._spot.items()}
        self._markets = self._spot | self._swaps

    def session(self, _: ConnectionOpening, subscriptions: Subscriptions) -> OkxSession:
        """See `WireProtocol`."""
        return OkxSession(self._markets, self._venue.suspended, subscriptions)

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
            Endpoint("/api/v5/market/candles", 1, lambda query: self._candles(query, MAX_CANDLES)),
            Endpoint("/api/v5/market/history-candles", 1, lambda query: self._candles(query, MAX_PAST_CANDLES)),
            Endpoint("/api/v5/public/funding-rate-history", 1, self._funding),
            Endpoint("/api/v5/public/funding-rate", 1, self._expected_funding),
        )

    def _archive(self, query: RestQuery) -> Archive:
        archive = self._markets.get(query.values.get("instId", ""))
        if archive is None:
            raise ReplyError(_failure("51001", "Instrument ID doesn't exist."))
        return archive

    async def _time(self, _: RestQuery) -> bytes:
        return _answer([f'{{"ts":"{self._venue.now_ms}"}}'])

    async def _instruments(self, query: RestQuery) -> bytes:
        markets = {"SPOT": self._spot, "SWAP": self._swaps}.get(query.values.get("instType", ""), {})
        if "instId" in query.values:
            markets = {query.values["instId"]: self._archive(query)}
        suspended = self._venue.suspended
        rows = [
            instrument_row(archive.instrument, native, is_suspended=archive.instrument.symbol in suspended)
            for native, archive in markets.items()
        ]
        return _answer(orjson.dumps(row).decode() for row in rows)

    async def _trades(self, query: RestQuery) -> bytes:
        """The newest first; ``after``: ids below, ``before``: ids above."""
        archive, limit = self._archive(query), _number(query, "limit", MAX_TRADES)
        if query.values.get("type", "1") != "1":
            raise ReplyError(_failure("51000", "Parameter type error"))
        bounds = _given(query, "before"), _given(query, "after")
        native = query.values["instId"]
        rows = RowForm(lambda match: trade_row(archive.instrument, native, match), '"px":"')
        limit = max(1, min(limit, MAX_TRADES))
        return _answer(reversed(self._venue.pages.newest_between(archive, bounds, limit, self._venue.now_ms, rows)))

    async def _candles(self, query: RestQuery, most: int) -> bytes:
        """The newest first; ``after``: those that open before a time, ``before``: after it (both milliseconds)."""
        archive, until_ms = self._archive(query), self._venue.klines_until_ms
        minutes = _BARS_MINUTES.get(query.values.get("bar", "1m"))
        if minutes is None:
            raise ReplyError(_failure("51000", "Parameter bar error"))
        length_ms = minutes * MINUTE_MS
        limit = max(1, min(_number(query, "limit", 100), most))
        last_ms = min(until_ms, _number(query, "after", until_ms + 1) - 1) // length_ms * length_ms
        first_ms = max((_number(query, "before", 0) // length_ms + 1) * length_ms, last_ms - (limit - 1) * length_ms)
        made = await klines(archive, first_ms, last_ms, length_ms, until_ms)
        native = query.values["instId"]
        return _answer(
            candle_row(archive.instrument, native, kline, kline.open_ms, confirmed=kline.end_ms <= until_ms)
            for kline in reversed(made)
        )

    async def _funding(self, query: RestQuery) -> bytes:
        """Settled rates of a swap in the last three months, the newest first; ``after``: before a time."""
        archive, now_ms = self._archive(query), self._venue.now_ms
        until_ms = min(_number(query, "after", now_ms + 1), now_ms + 1)
        limit = max(1, min(_number(query, "limit", MAX_RATES), MAX_RATES))
        from_ms = max(_number(query, "before", 0) + 1, now_ms - _RATES_KEPT_MS)
        rates = newest_settled(archive.instrument, from_ms, until_ms, limit)
        native = query.values["instId"]
        return _answer(
            f'{{"instType":"SWAP","instId":"{native}","fundingRate":"{rate}","realizedRate":"{rate}",'
            f'"fundingTime":"{time_ms}"}}'
            for time_ms, rate in rates
        )

    async def _expected_funding(self, query: RestQuery) -> bytes:
        """What is expected, of one swap or, as ``ANY``, of all."""
        native, now_ms = query.values.get("instId", ""), self._venue.now_ms
        swaps = self._swaps if native == "ANY" else {native: self._archive(query)}
        rates = {swap: expected(archive.instrument, now_ms) for swap, archive in swaps.items()}
        return _answer(
            f'{{"instType":"SWAP","instId":"{swap}","fundingRate":"{rate}","nextFundingRate":"",'
            f'"fundingTime":"{time_ms}","nextFundingTime":"{time_ms + EVERY_MS}","ts":"{now_ms}"}}'
            for swap, (time_ms, rate) in rates.items()
        )


def _channel(channel: str, native: str, archive: Archive) -> Channel:
    market = archive.instrument
    key = ("okx", channel, native)
    if channel == _TRADES:
        return Channel(
            key, ChannelKind.TRADES, archive,
            contents=single_trades,
            write=lambda rows, _: pushed(_TRADES, native, trade_row(market, native, rows[0])),
            tells_clock=False,
        )  # fmt: skip
    # The only clock there is: the time at which a candle of one second opens.
    return Channel(
        key, ChannelKind.CLOCK, archive,
        contents=seconds,
        write=lambda kline, clock_ms: pushed(
            _CANDLES, native, candle_row(market, native, kline, clock_ms - kline.length_ms)
        ),
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
