"""Binance USD-M futures: streams at ``/market``, REST at ``/fapi/v1``. Trades are aggregates with ids of their own.

Each market is a perpetual contract too, with the same trades. Klines count the single trades, as on Binance.
Source: Binance's derivatives documentation, USDⓈ-M Futures: "Important WebSocket Change Notice", "Aggregate Trade
Streams", "Mark Price Stream", "Compressed/Aggregate Trades List", "Kline/Candlestick Data", "Exchange Information",
"Get Funding Rate History", "Mark Price".
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from producers.simulator.aggregated import AggregatedMatch
from producers.simulator.archive import Archive
from producers.simulator.contents import seconds, single_trades
from producers.simulator.funding import expected, newest_settled, settled
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument
from producers.simulator.klines import Kline
from producers.simulator.limits import LimitVerdict, RequestLimit
from producers.simulator.pages import RowForm
from producers.simulator.protocol import ConnectionLimits, ConnectionOpening, Endpoint, Reply, RestQuery, Subscriptions
from producers.simulator.protocols.binance_messages import combined
from producers.simulator.protocols.binance_query import (
    BinanceQuery,
    api_error,
    array_of,
    asked_klines,
    internal_error,
    too_much_weight,
    weight_headers,
)
from producers.simulator.protocols.binance_session import BinanceSession, Form
from producers.simulator.record import RecordForm
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

WEIGHT_PER_MINUTE = 2_400
MAX_KLINES, MAX_ROWS = 1_500, 1_000
DEFAULT_RATES = 100
_ONBOARD_MS = 1_569_398_400_000
_BOOL = ("false", "true")
_LATE_MS = 3


def aggregate_fields(market: SimulatedInstrument, match: Match) -> str:
    """The fields that stream and REST share, from ``p`` on. `match` is an aggregate."""
    first_id, last_id = (match.first_id, match.last_id) if isinstance(match, AggregatedMatch) else (0, 0)
    qty = market.plain_qty(match.lots)
    return (
        f'"p":"{market.plain_price(match.ticks)}","q":"{qty}","nq":"{qty}","f":{first_id},"l":{last_id},'
        f'"T":{match.time_ms},"m":{_BOOL[match.buyer_is_maker]}}}'
    )


def aggregate_event(market: SimulatedInstrument, match: Match, clock_ms: int) -> str:
    """An event of ``<symbol>@aggTrade``."""
    event = f'{{"e":"aggTrade","E":{clock_ms},"a":{match.trade_id},"s":"{market.symbol}",'
    return event + aggregate_fields(market, match)


def aggregate_row(market: SimulatedInstrument, match: Match) -> str:
    """A row of ``/fapi/v1/aggTrades``."""
    return f'{{"a":{match.trade_id},' + aggregate_fields(market, match)


def mark_price_event(market: SimulatedInstrument, kline: Kline, clock_ms: int) -> str:
    """An event of ``<symbol>@markPrice@1s``: here the mark price is the last price."""
    price = market.price(kline.close)
    next_funding = expected(market, kline.end_ms)
    return (
        f'{{"e":"markPriceUpdate","E":{clock_ms},"s":"{market.symbol}","p":"{price}","ap":"{price}","P":"{price}",'
        f'"i":"{price}","r":"{next_funding.rate}","T":{next_funding.time_ms}}}'
    )


def kline_row(market: SimulatedInstrument, kline: Kline) -> list[int | str]:
    """A row of ``/fapi/v1/klines``."""
    prices = map(market.plain_price, (kline.open, kline.high, kline.low, kline.close))
    taker_qty, taker_quote = market.plain_qty(kline.taker_buy_lots), market.plain_quote_qty(kline.taker_buy_quote)
    totals = (kline.end_ms - 1, market.plain_quote_qty(kline.quote), kline.trades)
    return [kline.open_ms, *prices, market.plain_qty(kline.lots), *totals, taker_qty, taker_quote, "0"]


def contract(market: SimulatedInstrument) -> dict[str, Any]:
    """A contract in ``/fapi/v1/exchangeInfo``."""
    tick, lot = market.plain_price(1), market.plain_qty(1)
    return {
        "symbol": market.symbol,
        "pair": market.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": _ONBOARD_MS,
        "status": "TRADING",
        "baseAsset": market.base,
        "quoteAsset": market.quote,
        "marginAsset": market.quote,
        "pricePrecision": market.price_decimals,
        "quantityPrecision": market.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000000", "stepSize": lot},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


class BinanceUsdmProtocol:
    """Binance USD-M futures (a `WireProtocol`)."""

    names: Sequence[str] = ("binance-usdm",)
    stream_paths: Sequence[str] = ("/market/ws", "/market/ws/{streams:.*}", "/market/stream")
    connection_limits = ConnectionLimits(messages_per_s=10)
    request_limit = RequestLimit(WEIGHT_PER_MINUTE, 60, bans=True)
    record = RecordForm(of_aggregates=True)

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def session(self, opening: ConnectionOpening, subscriptions: Subscriptions) -> BinanceSession:
        """See `WireProtocol`."""
        return BinanceSession(opening, subscriptions, channel=self._channel, now_ms=lambda: self._venue.now_ms)

    def too_much(self, verdict: LimitVerdict) -> Reply:
        """See `WireProtocol`."""
        return too_much_weight(verdict, WEIGHT_PER_MINUTE)

    def broken(self) -> Reply:
        """See `WireProtocol`."""
        return internal_error()

    def headers(self, verdict: LimitVerdict) -> Mapping[str, str]:
        """See `WireProtocol`."""
        return weight_headers(verdict)

    def endpoints(self) -> Iterable[Endpoint]:
        """See `WireProtocol`."""
        return (
            Endpoint("/fapi/v1/ping", 1, self._ping),
            Endpoint("/fapi/v1/time", 1, self._time),
            Endpoint("/fapi/v1/exchangeInfo", 1, self._exchange_info),
            Endpoint("/fapi/v1/aggTrades", 20, _asked(self._aggregates, MAX_ROWS)),
            Endpoint("/fapi/v1/klines", 5, _asked(self._klines, MAX_KLINES)),
            Endpoint("/fapi/v1/fundingRate", 1, _asked(self._funding, MAX_ROWS)),
            Endpoint("/fapi/v1/premiumIndex", 10, self._premiums),
        )

    def _channel(self, stream: str, form: Form) -> Channel | None:
        symbol, _, kind = stream.partition("@")
        archive = self._venue.perpetual(symbol.upper()) if symbol == symbol.lower() else None
        if archive is None:
            return None
        market = archive.instrument

        def wrapped(payload: str) -> str:
            return combined(stream, payload) if form.combined else payload

        key = ("binance-usdm", stream, form.combined)
        if kind == "aggTrade":
            return Channel(
                key, ChannelKind.TRADES, archive,
                contents=single_trades,
                write=lambda rows, clock_ms: wrapped(aggregate_event(market, rows[0], clock_ms)),
            )  # fmt: skip
        if kind == "markPrice@1s":
            return Channel(
                key, ChannelKind.CLOCK, archive,
                contents=seconds,
                write=lambda kline, clock_ms: wrapped(mark_price_event(market, kline, clock_ms)),
            )  # fmt: skip
        return None

    def _archive(self, query: BinanceQuery) -> Archive:
        archive = self._venue.perpetual(query.text("symbol"))
        if archive is None:
            raise api_error(-1121, "Invalid symbol.")
        return archive

    async def _ping(self, _: RestQuery) -> bytes:
        return b"{}"

    async def _time(self, _: RestQuery) -> bytes:
        return orjson.dumps({"serverTime": self._venue.now_ms})

    async def _exchange_info(self, _: RestQuery) -> bytes:
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE}
        contracts = [contract(archive.instrument) for archive in self._venue.archives.values()]
        info = {"timezone": "UTC", "serverTime": self._venue.now_ms, "futuresType": "U_MARGINED"}
        return orjson.dumps({**info, "rateLimits": [weight], "exchangeFilters": [], "symbols": contracts})

    async def _aggregates(self, query: BinanceQuery) -> bytes:
        archive, from_id, now_ms = self._archive(query), query.number("fromId"), self._venue.now_ms
        start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
        rows = RowForm(lambda match: aggregate_row(archive.instrument, match), '"p":"')
        until_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        pages = self._venue.pages
        if from_id is not None:
            if start_ms is not None or end_ms is not None:
                raise api_error(-1128, "Combination of optional parameters invalid.")
            return array_of(pages.from_id(archive, from_id, query.limit, now_ms, rows))
        if start_ms is not None:
            return array_of(pages.since(archive, start_ms, query.limit, until_ms, rows))
        return array_of(pages.newest(archive, query.limit, until_ms, rows))

    async def _klines(self, query: BinanceQuery) -> bytes:
        archive = self._venue.archives[self._archive(query).instrument.symbol]
        rows = await asked_klines(archive, query, self._venue.klines_until_ms)
        return orjson.dumps([kline_row(archive.instrument, kline) for kline in rows])

    async def _funding(self, query: BinanceQuery) -> bytes:
        """Settled rates, the older first; without ``startTime`` the newest. They are told some milliseconds late."""
        market, now_ms = self._archive(query).instrument, self._venue.now_ms
        start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
        limit = query.limit if "limit" in query.values else DEFAULT_RATES
        until_ms = (now_ms if end_ms is None else min(end_ms, now_ms)) + 1
        if start_ms is None:
            rates = newest_settled(market, 0, until_ms, limit)[::-1]
        else:
            rates = list(islice(settled(market, start_ms, until_ms), limit))
        price = market.price(market.typical_ticks)
        return array_of(
            f'{{"symbol":"{market.symbol}","fundingRate":"{rate}","fundingTime":{time_ms + _LATE_MS},'
            f'"markPrice":"{price}"}}'
            for time_ms, rate in rates
        )

    async def _premiums(self, _: RestQuery) -> bytes:
        """Mark prices and what is expected, of all contracts."""
        now_ms = self._venue.now_ms
        markets = [archive.instrument for archive in self._venue.archives.values()]
        return array_of(
            f'{{"symbol":"{market.symbol}","markPrice":"{market.price(market.typical_ticks)}",'
            f'"lastFundingRate":"{rate}","nextFundingTime":{time_ms},"time":{now_ms}}}'
            for market in markets
            for time_ms, rate in (expected(market, now_ms),)
        )


def _asked(
    answer: Callable[[BinanceQuery], Awaitable[bytes]], max_limit: int
) -> Callable[[RestQuery], Awaitable[bytes]]:
    return lambda query: answer(BinanceQuery(query, max_limit))
