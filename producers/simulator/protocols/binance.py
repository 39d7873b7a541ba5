"""Binance spot: streams at ``/ws`` and ``/stream``, REST at ``/api/v3``; how it is written is in `binance_messages`.

Sources: `web-socket-streams.md` and `rest-api.md` of Binance's spot documentation.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import orjson

from producers.simulator.archive import Archive
from producers.simulator.contents import aggregate_trades, seconds, single_trades
from producers.simulator.limits import LimitVerdict, RequestLimit
from producers.simulator.pages import RowForm
from producers.simulator.protocol import ConnectionLimits, ConnectionOpening, Endpoint, Reply, RestQuery, Subscriptions
from producers.simulator.protocols.binance_messages import (
    aggregate_event,
    aggregate_row,
    combined,
    kline_event,
    kline_row,
    symbol_info,
    trade_event,
    trade_row,
)
from producers.simulator.protocols.binance_query import (
    BinanceQuery,
    api_error,
    array_of,
    asked_klines,
    internal_error,
    names_in,
    too_much_weight,
    weight_headers,
)
from producers.simulator.protocols.binance_session import BinanceSession, Form
from producers.simulator.record import OWN_RECORD
from producers.simulator.tape import Channel, ChannelKind
from producers.simulator.venue import Venue

WEIGHT_PER_MINUTE = 6_000


class BinanceProtocol:
    """Binance spot (a `WireProtocol`)."""

    names: Sequence[str] = ("binance",)
    stream_paths: Sequence[str] = ("/ws", "/ws/{streams:.*}", "/stream")
    connection_limits = ConnectionLimits(messages_per_s=5)
    request_limit = RequestLimit(WEIGHT_PER_MINUTE, 60, bans=True)
    record = OWN_RECORD

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
        endpoints: tuple[tuple[str, int, Callable[[BinanceQuery], Awaitable[bytes]]], ...] = (
            ("ping", 1, self._ping),
            ("time", 1, self._time),
            ("exchangeInfo", 20, self._exchange_info),
            ("trades", 25, self._trades),
            ("historicalTrades", 25, self._historical_trades),
            ("aggTrades", 4, self._aggregates),
            ("klines", 2, self._klines),
        )
        for name, weight, answer in endpoints:
            yield Endpoint(f"/api/v3/{name}", weight, _asked(answer))

    def _channel(self, stream: str, form: Form) -> Channel | None:
        symbol, _, kind = stream.partition("@")
        archive = self._venue.archives.get(symbol.upper())
        if archive is None or symbol != symbol.lower():
            return None
        market, unit = archive.instrument, form.unit

        def wrapped(payload: str) -> str:
            return combined(stream, payload) if form.combined else payload

        key = ("binance", stream, form)
        if kind == "trade":
            return Channel(
                key, ChannelKind.TRADES, archive,
                contents=single_trades,
                write=lambda rows, clock_ms: wrapped(trade_event(market, rows[0], clock_ms, unit)),
            )  # fmt: skip
        if kind == "aggTrade":
            return Channel(
                key, ChannelKind.AGGREGATES, archive,
                contents=aggregate_trades,
                write=lambda rows, clock_ms: wrapped(aggregate_event(market, rows[0], clock_ms, unit)),
            )  # fmt: skip
        if kind == "kline_1s":
            return Channel(
                key, ChannelKind.CLOCK, archive,
                contents=seconds,
                write=lambda kline, clock_ms: wrapped(kline_event(market, kline, "1s", clock_ms, unit)),
            )  # fmt: skip
        return None

    def _archive(self, query: BinanceQuery) -> Archive:
        archive = self._venue.archives.get(query.text("symbol"))
        if archive is None:
            raise api_error(-1121, "Invalid symbol.")
        return archive

    def _rows(self, archive: Archive, query: BinanceQuery) -> RowForm:
        return RowForm(lambda match: trade_row(archive.instrument, match, query.unit), '"price":"')

    async def _ping(self, _: BinanceQuery) -> bytes:
        return b"{}"

    async def _time(self, query: BinanceQuery) -> bytes:
        return orjson.dumps({"serverTime": self._venue.now_us * query.unit // 1_000})

    async def _exchange_info(self, query: BinanceQuery) -> bytes:
        archives = self._venue.archives
        names: Iterable[str] = archives
        if "symbol" in query.values:
            names = [query.values["symbol"]]
        elif "symbols" in query.values:
            names = names_in(query.values["symbols"])
        if any(name not in archives for name in names):
            raise api_error(-1121, "Invalid symbol.")
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE}
        return orjson.dumps(
            {
                "timezone": "UTC",
                "serverTime": self._venue.now_us * query.unit // 1_000,
                "rateLimits": [weight],
                "exchangeFilters": [],
                "symbols": [symbol_info(archives[name].instrument) for name in names],
            }
        )

    async def _trades(self, query: BinanceQuery) -> bytes:
        archive = self._archive(query)
        rows = self._rows(archive, query)
        return array_of(self._venue.pages.newest(archive, query.limit, self._venue.now_ms, rows))

    async def _historical_trades(self, query: BinanceQuery) -> bytes:
        archive, from_id = self._archive(query), query.number("fromId")
        if from_id is None:
            return await self._trades(query)
        rows = self._rows(archive, query)
        return array_of(self._venue.pages.from_id(archive, from_id, query.limit, self._venue.now_ms, rows))

    async def _aggregates(self, query: BinanceQuery) -> bytes:
        archive, from_id, now_ms = self._archive(query), query.number("fromId"), self._venue.now_ms
        start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
        if from_id is not None:
            if start_ms is not None or end_ms is not None:
                raise api_error(-1128, "Combination of optional parameters invalid.")
            rows = archive.aggregates_from(from_id, query.limit, now_ms)
        elif start_ms is not None:
            rows = archive.aggregates_between(start_ms, now_ms if end_ms is None else min(end_ms, now_ms), query.limit)
        else:
            rows = archive.newest_aggregates(query.limit, now_ms if end_ms is None else min(end_ms, now_ms))
        return array_of(aggregate_row(archive.instrument, row, query.unit) for row in rows)

    async def _klines(self, query: BinanceQuery) -> bytes:
        archive = self._archive(query)
        rows = await asked_klines(archive, query, self._venue.klines_until_ms)
        return orjson.dumps([kline_row(archive.instrument, kline, query.unit) for kline in rows])


def _asked(answer: Callable[[BinanceQuery], Awaitable[bytes]]) -> Callable[[RestQuery], Awaitable[bytes]]:
    return lambda query: answer(BinanceQuery(query))
