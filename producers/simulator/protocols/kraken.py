"""Kraken spot: its WebSocket API v2 at ``/v2`` and its REST API at ``/0/public``.

REST names assets otherwise (``XBT``, ``XDG``), and some of them longer (``XXBT``, ``ZEUR``).
Source: Kraken's API documentation, Spot WebSocket v2 "Trades", "Ping", "Heartbeat", "Status", Spot REST "Get Recent
Trades", "Get OHLC Data", "Get Tradable Asset Pairs", "Get Server Time".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from market.timeframe import MINUTE_MS, SECOND_MS
from producers.simulator.archive import Archive
from producers.simulator.contents import taker_orders
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
from producers.simulator.protocols.texts import iso_us
from producers.simulator.record import OWN_RECORD
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

MAX_ROWS, MAX_CANDLES, SNAPSHOT_TRADES = 1_000, 720, 50
_TRADE, _HEARTBEAT = "trade", '{"channel":"heartbeat"}'
_SHORT = {"BTC": "XBT", "DOGE": "XDG"}
_LONG = {
    "BTC": "XXBT", "DOGE": "XXDG", "ETH": "XETH", "LTC": "XLTC", "XRP": "XXRP", "XLM": "XXLM", "ZEC": "XZEC",
    "ETC": "XETC", "EUR": "ZEUR",
}  # fmt: skip
_SIDES, _REST_SIDES = ("buy", "sell"), ("b", "s")
"""The taker's, by whether the buyer was the maker."""
_INTERVALS = (1, 5, 15, 30, 60, 240, 1_440)
_MAX_SECONDS_DIGITS = 11
_NS_A_MS = 1_000_000


def native_name(market: SimulatedInstrument) -> str:
    """``BTC/USDT``, as the stream has it."""
    return f"{market.base}/{market.quote}"


def short_name(market: SimulatedInstrument) -> str:
    """``XBTUSDT``."""
    return _SHORT.get(market.base, market.base) + _SHORT.get(market.quote, market.quote)


def pair_name(market: SimulatedInstrument) -> str:
    """``XBTUSDT``, but ``XETHXXBT`` where both assets have long names: the key of answers of REST."""
    if market.base in _LONG and market.quote in _LONG:
        return _LONG[market.base] + _LONG[market.quote]
    return short_name(market)


def trade_message(market: SimulatedInstrument, rows: Iterable[Match], kind: str = "update") -> str:
    """A message of trades; prices and quantities are JSON numbers with the market's digits."""
    native = native_name(market)
    trades = (
        f'{{"symbol":"{native}","side":"{_SIDES[match.buyer_is_maker]}","price":{market.plain_price(match.ticks)},'
        f'"qty":{market.plain_qty(match.lots)},"ord_type":"market","trade_id":{match.trade_id},'
        f'"timestamp":"{iso_us(match.time_ms)}"}}'
        for match in rows
    )
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(trades)}]}}'


def trade_row(market: SimulatedInstrument, match: Match) -> str:
    """A row of ``/0/public/Trades``."""
    seconds, within_ms = divmod(match.time_ms, SECOND_MS)
    return (
        f'["{market.plain_price(match.ticks)}","{market.plain_qty(match.lots)}",{seconds}.{within_ms:03d},'
        f'"{_REST_SIDES[match.buyer_is_maker]}","m","",{match.trade_id}]'
    )


def pair(market: SimulatedInstrument) -> dict[str, Any]:
    """A value of ``/0/public/AssetPairs``."""
    base, quote = _SHORT.get(market.base, market.base), _SHORT.get(market.quote, market.quote)
    return {
        "altname": short_name(market),
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": _LONG.get(market.base, market.base),
        "aclass_quote": "currency",
        "quote": _LONG.get(market.quote, market.quote),
        "lot": "unit",
        "pair_decimals": market.price_decimals,
        "cost_decimals": market.price_decimals,
        "lot_decimals": market.qty_decimals,
        "lot_multiplier": 1,
        "fee_volume_currency": "ZUSD",
        "ordermin": market.plain_qty(1),
        "costmin": "0.5",
        "tick_size": market.plain_price(1),
        "status": "online",
    }


def candle_row(market: SimulatedInstrument, kline: Kline) -> list[int | str]:
    """A row of ``/0/public/OHLC``; the average price is cut to the tick."""
    prices = map(market.plain_price, (kline.open, kline.high, kline.low, kline.close))
    average = market.plain_price(kline.quote // kline.lots if kline.lots else 0)
    return [kline.open_ms // SECOND_MS, *prices, average, market.plain_qty(kline.lots), kline.trades]


def beats(_: Archive, minute: int) -> Iterator[tuple[int, None]]:
    """The ends of seconds."""
    for second in range(MINUTE_MS // SECOND_MS):
        yield minute * MINUTE_MS + second * SECOND_MS, None


class KrakenSession:
    """One connection (a `StreamSession`)."""

    def __init__(self, markets: Mapping[str, Archive], venue: Venue, subscriptions: Subscriptions) -> None:
        self._markets, self._venue, self._subscriptions = markets, venue, subscriptions

    def begin(self) -> Sequence[str]:
        """See `StreamSession`."""
        return (_status("online"),)

    def shutdown_notice(self) -> str:
        """See `StreamSession`."""
        return _status("maintenance")

    def answer(self, text: str) -> Sequence[str]:
        """See `StreamSession`."""
        time_in_ms = self._venue.clock_ms
        try:
            request = orjson.loads(text)
            method, params = request["method"], request.get("params", {})
            echo = {"req_id": request["req_id"]} if "req_id" in request else {}
            symbols = [str(each) for each in params.get("symbol", [])]
            channel = params.get("channel")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return (orjson.dumps({"error": "Malformed request", "success": False}).decode(),)
        answers: list[dict[str, Any]]
        if method == "ping":
            answers = [{"method": "pong"}]
        elif method not in {"subscribe", "unsubscribe"} or channel != _TRADE:
            answers = [{"method": method, "error": "Unsupported method or channel", "success": False}]
        else:
            answers = [each for symbol in symbols if (each := self._change(method, symbol, params)) is not None]
        times = {"time_in": iso_us(time_in_ms), "time_out": iso_us(self._venue.clock_ms)}
        texts = [orjson.dumps({**each, **times, **echo}).decode() for each in answers]
        if method == "subscribe" and params.get("snapshot", True):
            texts += [self._snapshot(each["result"]["symbol"]) for each in answers if each.get("success")]
        return texts

    def _change(self, method: str, symbol: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Subscribe or unsubscribe one symbol; None: no word about it."""
        archive = self._markets.get(symbol)
        if archive is None:
            error = f"Currency pair not supported {symbol}"
            return {"method": method, "error": error, "success": False, "symbol": symbol}
        result = {"channel": _TRADE, "symbol": symbol}
        if method == "unsubscribe":
            self._subscriptions.leave(symbol)
        else:
            market = archive.instrument
            channel = Channel(
                ("kraken", symbol), ChannelKind.TRADES, archive,
                contents=taker_orders,
                write=lambda rows, _: trade_message(market, rows),
                tells_clock=False,
            )  # fmt: skip
            if not self._subscriptions.take(symbol, channel):
                return None
            beat = Channel(
                "kraken", ChannelKind.CLOCK, archive,
                contents=beats,
                write=lambda *_: _HEARTBEAT,
                tells_clock=False,
            )  # fmt: skip
            self._subscriptions.take("", beat, certain=True)
            result["snapshot"] = params.get("snapshot", True)
        return {"method": method, "result": result, "success": True}

    def _snapshot(self, symbol: str) -> str:
        archive = self._markets[symbol]
        return trade_message(archive.instrument, archive.newest(SNAPSHOT_TRADES, self._venue.now_ms), "snapshot")


class KrakenProtocol:
    """Kraken spot (a `WireProtocol`)."""

    names: Sequence[str] = ("kraken",)
    stream_paths: Sequence[str] = ("/v2",)
    connection_limits = ConnectionLimits()
    request_limit = RequestLimit(15, 10)
    record = OWN_RECORD

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        markets = [archive.instrument for archive in venue.archives.values()]
        self._streamed = {native_name(market): venue.archives[market.symbol] for market in markets}
        self._markets = {
            name: venue.archives[market.symbol]
            for market in markets
            for name in (market.symbol, native_name(market), short_name(market), pair_name(market))
        }

    def session(self, _: ConnectionOpening, subscriptions: Subscriptions) -> KrakenSession:
        """See `WireProtocol`."""
        return KrakenSession(self._streamed, self._venue, subscriptions)

    def too_much(self, _: LimitVerdict) -> Reply:
        """See `WireProtocol`: Kraken says it with status 200."""
        return _failure("EAPI:Rate limit exceeded")

    def broken(self) -> Reply:
        """See `WireProtocol`."""
        return _failure("EService:Unavailable")

    def headers(self, _: LimitVerdict) -> Mapping[str, str]:
        """See `WireProtocol`."""
        return {}

    def endpoints(self) -> Iterable[Endpoint]:
        """See `WireProtocol`."""
        return (
            Endpoint("/0/public/Time", 1, self._time),
            Endpoint("/0/public/AssetPairs", 1, self._pairs),
            Endpoint("/0/public/Trades", 1, self._trades),
            Endpoint("/0/public/OHLC", 1, self._candles),
        )

    def _archive(self, name: str) -> Archive:
        archive = self._markets.get(name)
        if archive is None:
            raise ReplyError(_failure("EQuery:Unknown asset pair"))
        return archive

    async def _time(self, _: RestQuery) -> bytes:
        return _answer(orjson.dumps({"unixtime": self._venue.now_ms // SECOND_MS}))

    async def _pairs(self, query: RestQuery) -> bytes:
        names = query.values.get("pair")
        archives = self._venue.archives.values() if names is None else map(self._archive, names.split(","))
        return _answer(orjson.dumps({pair_name(each.instrument): pair(each.instrument) for each in archives}))

    async def _trades(self, query: RestQuery) -> bytes:
        """By time: those that happened after ``since`` (nanoseconds, or seconds), else the newest."""
        archive, now_ms = self._archive(query.values.get("pair", "")), self._venue.now_ms
        since_ns, count = _number(query, "since"), _number(query, "count")
        if since_ns is not None and since_ns < 10**_MAX_SECONDS_DIGITS:
            since_ns *= SECOND_MS * _NS_A_MS
        limit = max(1, min(count or MAX_ROWS, MAX_ROWS))
        rows = RowForm(lambda match: trade_row(archive.instrument, match), '["')
        if since_ns is None:
            page = self._venue.pages.newest(archive, limit, now_ms, rows)
        else:
            page = self._venue.pages.since(archive, since_ns // _NS_A_MS + 1, limit, now_ms, rows)
        last_ns = _time_ns(page[-1]) if page else since_ns or now_ms * _NS_A_MS
        name = pair_name(archive.instrument)
        return _answer(f'{{"{name}":[{",".join(page)}],"last":"{last_ns}"}}'.encode())

    async def _candles(self, query: RestQuery) -> bytes:
        """The newest 720 that open after ``since`` (seconds), and the one that is not over."""
        archive, until_ms = self._archive(query.values.get("pair", "")), self._venue.klines_until_ms
        minutes = _number(query, "interval") or 1
        if minutes not in _INTERVALS:
            raise ReplyError(_failure("EGeneral:Invalid arguments"))
        length_ms, since_s = minutes * MINUTE_MS, _number(query, "since")
        last_ms = until_ms // length_ms * length_ms
        first_ms = last_ms - (MAX_CANDLES - 1) * length_ms
        if since_s is not None:
            first_ms = max(first_ms, (since_s * SECOND_MS // length_ms + 1) * length_ms)
        made = await klines(archive, first_ms, last_ms, length_ms, until_ms)
        rows = [candle_row(archive.instrument, kline) for kline in made]
        last_s = last_ms // SECOND_MS - minutes * 60
        return _answer(orjson.dumps({pair_name(archive.instrument): rows, "last": last_s}))


def _status(system: str) -> str:
    data = [{"system": system, "api_version": "v2", "connection_id": 1, "version": "2.0.0"}]
    return orjson.dumps({"channel": "status", "type": "update", "data": data}).decode()


def _answer(result: bytes) -> bytes:
    return b'{"error":[],"result":' + result + b"}"


def _failure(error: str) -> Reply:
    return Reply(orjson.dumps({"error": [error]}))


def _number(query: RestQuery, name: str) -> int | None:
    text = query.values.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ReplyError(_failure("EGeneral:Invalid arguments"))
    return int(text)


def _time_ns(row: str) -> int:
    return int(row.split(",")[2].replace(".", "")) * _NS_A_MS
