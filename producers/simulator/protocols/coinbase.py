"""Coinbase Exchange: its feed at ``/`` and its REST API.

Source: Coinbase's Exchange documentation, "WebSocket Overview", "WebSocket Channels" (heartbeat, matches), "WebSocket
Errors", "Get all known trading pairs", "Get product trades", "Get product candles", "REST Rate Limits".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from market.timeframe import MINUTE_MS, SECOND_MS
from producers.simulator.archive import Archive
from producers.simulator.contents import Rows, seconds, single_trades
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument
from producers.simulator.klines import klines
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
from producers.simulator.protocols.texts import iso_us, uuid_of
from producers.simulator.record import OWN_RECORD
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

MAX_CANDLES = 300
DEFAULT_ROWS = MAX_ROWS = 1_000
_MATCHES, _HEARTBEAT = "matches", "heartbeat"
_CHANNELS = {_MATCHES, _HEARTBEAT, "ticker", "level2", "level2_batch", "full", "status"}
"""Those that can be subscribed to; only matches and heartbeats are sent."""
_LENGTHS_MS = {str(minutes * 60): minutes * MINUTE_MS for minutes in (1, 5, 15, 60, 360, 1_440)}
_MAKER_SIDES = ("sell", "buy")
"""By whether the buyer was the maker."""


def match_message(market: SimulatedInstrument, match: Match, kind: str = "match") -> str:
    """A trade; `kind` is ``match`` or ``last_match``. Its side is the maker's."""
    native = native_name(market)
    return (
        f'{{"type":"{kind}","trade_id":{match.trade_id},"maker_order_id":"{uuid_of("maker", native, match.trade_id)}",'
        f'"taker_order_id":"{uuid_of("taker", native, match.aggregate_id)}",'
        f'"side":"{_MAKER_SIDES[match.buyer_is_maker]}","size":"{market.qty(match.lots)}",'
        f'"price":"{market.plain_price(match.ticks)}","product_id":"{native}","sequence":{match.trade_id},'
        f'"time":"{iso_us(match.time_ms)}"}}'
    )


def trade_row(market: SimulatedInstrument, match: Match) -> str:
    """A row of ``/products/{id}/trades``."""
    return (
        f'{{"trade_id":{match.trade_id},"side":"{_MAKER_SIDES[match.buyer_is_maker]}",'
        f'"size":"{market.qty(match.lots)}","price":"{market.plain_price(match.ticks)}",'
        f'"time":"{iso_us(match.time_ms)}"}}'
    )


def heartbeat_message(market: SimulatedInstrument, last_trade_id: int, clock_ms: int) -> str:
    """The heartbeat of a product."""
    return (
        f'{{"type":"heartbeat","last_trade_id":{last_trade_id},"product_id":"{native_name(market)}",'
        f'"sequence":{last_trade_id},"time":"{iso_us(clock_ms)}"}}'
    )


def product(market: SimulatedInstrument) -> dict[str, Any]:
    """A row of ``/products``."""
    return {
        "id": native_name(market),
        "base_currency": market.base,
        "quote_currency": market.quote,
        "quote_increment": market.plain_price(1),
        "base_increment": market.plain_qty(1),
        "display_name": f"{market.base}/{market.quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "auction_mode": False,
    }


def native_name(market: SimulatedInstrument) -> str:
    """``BTC-USDT``."""
    return f"{market.base}-{market.quote}"


def last_ids(archive: Archive, minute: int) -> Iterator[tuple[int, int]]:
    """The id of the last trade, second by second."""
    newest = archive.newest(1, minute * MINUTE_MS - SECOND_MS - 1)
    last_id = newest[-1].trade_id if newest else 0
    for time_ms, kline in seconds(archive, minute):
        if kline.trades:
            last_id = kline.last_id
        yield time_ms, last_id


class CoinbaseSession:
    """One connection (a `StreamSession`)."""

    def __init__(self, markets: Mapping[str, Archive], venue: Venue, subscriptions: Subscriptions) -> None:
        self._markets, self._venue, self._subscriptions = markets, venue, subscriptions
        self._taken: dict[str, list[str]] = {}

    def begin(self) -> Sequence[str]:
        """See `StreamSession`."""
        return ()

    def shutdown_notice(self) -> None:
        """See `StreamSession`: Coinbase says nothing."""
        return

    def answer(self, text: str) -> Sequence[str]:
        """See `StreamSession`."""
        try:
            request = orjson.loads(text)
            kind, channels = request["type"], _channels(request)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return (_error("Malformed JSON"),)
        if kind not in {"subscribe", "unsubscribe"}:
            return (_error("Type has to be either subscribe or unsubscribe"),)
        for name, products in channels.items():
            if name not in _CHANNELS:
                return (_error("Failed to subscribe", f"{name} is not a valid channel"),)
            unknown = [each for each in products if each not in self._markets]
            if unknown:
                return (_error("Failed to subscribe", f"{unknown[0]} is not a valid product"),)
            if not products:
                reason = f"You need to specify at least one product ID for channel {name}"
                return (_error("Failed to subscribe", reason),)
        return self._unsubscribe(channels) if kind == "unsubscribe" else self._subscribe(channels)

    def _subscribe(self, channels: Mapping[str, Sequence[str]]) -> Sequence[str]:
        lasts = []
        for name, products in channels.items():
            for native in products:
                is_new = native not in self._taken.get(name, ())
                if not self._subscriptions.take(f"{name} {native}", self._channel(name, native)) or not is_new:
                    continue
                self._taken.setdefault(name, []).append(native)
                archive = self._markets[native]
                if name == _MATCHES and (newest := archive.newest(1, self._venue.now_ms)):
                    lasts.append(match_message(archive.instrument, newest[-1], "last_match"))
        return (self._listed(), *lasts)

    def _unsubscribe(self, channels: Mapping[str, Sequence[str]]) -> Sequence[str]:
        for name, products in channels.items():
            for native in products:
                self._subscriptions.leave(f"{name} {native}")
                if native in self._taken.get(name, ()):
                    self._taken[name].remove(native)
        return (self._listed(),)

    def _listed(self) -> str:
        channels = [{"name": name, "product_ids": natives} for name, natives in self._taken.items() if natives]
        return orjson.dumps({"type": "subscriptions", "channels": channels}).decode()

    def _channel(self, name: str, native: str) -> Channel | None:
        archive, key = self._markets[native], ("coinbase", name, native)
        market = archive.instrument
        if name == _MATCHES:

            def write(rows: Rows, _: int) -> str:
                return match_message(market, rows[0])

            kind = ChannelKind.TRADES
            return Channel(key, kind, archive, contents=single_trades, write=write, tells_clock=False)
        if name == _HEARTBEAT:
            return Channel(
                key, ChannelKind.CLOCK, archive,
                contents=last_ids,
                write=lambda last_id, clock_ms: heartbeat_message(market, last_id, clock_ms),
            )  # fmt: skip
        return None


class CoinbaseProtocol:
    """Coinbase Exchange (a `WireProtocol`)."""

    names: Sequence[str] = ("coinbase",)
    stream_paths: Sequence[str] = ("/",)
    connection_limits = ConnectionLimits(messages_per_s=100, first_message_within_s=5.0)
    request_limit = RequestLimit(15, 1)
    record = OWN_RECORD

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._markets = {native_name(archive.instrument): archive for archive in venue.archives.values()}

    def session(self, _: ConnectionOpening, subscriptions: Subscriptions) -> CoinbaseSession:
        """See `WireProtocol`."""
        return CoinbaseSession(self._markets, self._venue, subscriptions)

    def too_much(self, verdict: LimitVerdict) -> Reply:
        """See `WireProtocol`."""
        return Reply(b'{"message":"Public rate limit exceeded"}', verdict.status)

    def broken(self) -> Reply:
        """See `WireProtocol`."""
        return Reply(b'{"message":"Internal server error"}', 500)

    def headers(self, _: LimitVerdict) -> Mapping[str, str]:
        """See `WireProtocol`."""
        return {}

    def endpoints(self) -> Iterable[Endpoint]:
        """See `WireProtocol`."""
        return (
            Endpoint("/time", 1, self._time),
            Endpoint("/products", 1, self._products),
            Endpoint("/products/{product}", 1, self._product),
            Endpoint("/products/{product}/trades", 1, self._trades),
            Endpoint("/products/{product}/candles", 1, self._candles),
        )

    def _archive(self, query: RestQuery) -> Archive:
        archive = self._markets.get(query.values["product"])
        if archive is None:
            raise _refusal("NotFound", 404)
        return archive

    async def _time(self, _: RestQuery) -> bytes:
        now_ms = self._venue.now_ms
        return orjson.dumps({"iso": iso_us(now_ms), "epoch": now_ms / 1_000})

    async def _products(self, _: RestQuery) -> bytes:
        return orjson.dumps([product(archive.instrument) for archive in self._markets.values()])

    async def _product(self, query: RestQuery) -> bytes:
        return orjson.dumps(product(self._archive(query).instrument))

    async def _trades(self, query: RestQuery) -> bytes:
        """The newest first; ``after``: ids below, ``before``: ids above."""
        archive, limit = self._archive(query), _number(query, "limit")
        bounds = _number(query, "before"), _number(query, "after")
        rows = RowForm(lambda match: trade_row(archive.instrument, match), '"price":"')
        limit = max(1, min(limit or DEFAULT_ROWS, MAX_ROWS))
        page = self._venue.pages.newest_between(archive, bounds, limit, self._venue.now_ms, rows)
        return f"[{','.join(reversed(page))}]".encode()

    async def _candles(self, query: RestQuery) -> bytes:
        """The newest first, none for a time without trades."""
        archive, until_ms = self._archive(query), self._venue.klines_until_ms
        length_ms = _LENGTHS_MS.get(query.values.get("granularity", "60"))
        if length_ms is None:
            raise _refusal("Unsupported granularity")
        start_ms, end_ms = _time_ms(query, "start"), _time_ms(query, "end")
        last_ms = min(until_ms, until_ms if end_ms is None else end_ms) // length_ms * length_ms
        first_ms = (
            last_ms - (MAX_CANDLES - 1) * length_ms if start_ms is None else -(-start_ms // length_ms) * length_ms
        )
        if last_ms - first_ms > MAX_CANDLES * length_ms:
            raise _refusal(
                "granularity too small for the requested time range. "
                f"Count of aggregations requested exceeds {MAX_CANDLES}"
            )
        made, market = await klines(archive, first_ms, last_ms, length_ms, until_ms), archive.instrument
        rows = [
            f"[{kline.open_ms // 1_000},"
            + ",".join(map(market.plain_price, (kline.low, kline.high, kline.open, kline.close)))
            + f",{market.plain_qty(kline.lots)}]"
            for kline in reversed(made)
            if kline.trades
        ]
        return f"[{','.join(rows)}]".encode()


def _channels(request: dict[str, Any]) -> dict[str, list[str]]:
    """The products of each channel that a request names, by itself or with products of its own."""
    products = [str(each) for each in request.get("product_ids", [])]
    channels: dict[str, list[str]] = {}
    for channel in request["channels"]:
        name = channel if isinstance(channel, str) else channel["name"]
        own = products if isinstance(channel, str) else channel.get("product_ids", products)
        channels[str(name)] = [str(each) for each in own]
    return channels


def _error(message: str, reason: str | None = None) -> str:
    error = {"type": "error", "message": message}
    return orjson.dumps(error if reason is None else error | {"reason": reason}).decode()


def _refusal(message: str, status: int = 400) -> ReplyError:
    return ReplyError(Reply(orjson.dumps({"message": message}), status))


def _number(query: RestQuery, name: str) -> int | None:
    text = query.values.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _refusal(f"Invalid {name}")
    return int(text)


def _time_ms(query: RestQuery, name: str) -> int | None:
    """A time in seconds since the epoch, or as ISO 8601."""
    text = query.values.get(name)
    if text is None:
        return None
    try:
        return int(text) * 1_000 if text.isdigit() else int(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError as error:
        raise _refusal(f"Invalid {name}") from error
