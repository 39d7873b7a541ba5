"""One session of a feed, in rounds: take what arrived, decide (pure), publish in order, wait for acknowledgements."""

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping
from decimal import Decimal

import aiohttp

from market.errors import MalformedError
from market.feed import FeedEventKind
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.key import MarketKey
from market.partition import partition_of
from producers.capture.recorder import Recorder
from producers.exchange import Exchange, TradesPage, TradesRequest, contracts_of
from producers.feed.any_symbol import AnySymbol
from producers.feed.connection import Connection, split
from producers.feed.connection_state import ConnectionState
from producers.feed.deciding import Deciding
from producers.feed.filling import Filling
from producers.feed.inbox import Inbox, KlineAnswer, PageAnswer
from producers.feed.klines import KlineRequest
from producers.feed.outbox import Outbox
from producers.feed.pacing import Pacing
from producers.feed.progress import STAGE, read_progress
from producers.feed.publishing import Publishing
from producers.feed.rest import LONGEST_WAIT_S, RestClient
from producers.feed.symbol import PageRequest, SymbolFeed
from producers.feed.text_symbol import TextSymbolFeed
from runtime.errors import CandlewickError
from runtime.figures import FigureName
from runtime.kafka import Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

INBOX_MESSAGES = 20_000
ROUND_S = 0.2
"""A round comes at least once in this time, for what becomes due by time alone."""
GATHER_S = 0.005
"""So long a round waits for more than what it began with, as each connection does before (`frames.GATHER_S`)."""
FILLS_AT_ONCE = 32
"""Answers are taken once a round, and under load a round takes seconds: with few at once the fills would starve."""
FILLS_WAITING = 4
"""Where the exchange's limit is reached, only so many wait for it: those that come later may be more urgent."""


class Session:
    """Feeds symbols, beginning where Kafka says that they are. After any error of Kafka it must be discarded."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        http: aiohttp.ClientSession,
        rest: RestClient,
        meter: Meter,
        *,
        recorder: Recorder | None = None,
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._http = http
        self._meter = meter
        self._rest = rest
        self._recorder = recorder
        self._pacing = Pacing()
        self._inbox: Inbox = Inbox(INBOX_MESSAGES)
        self._deciding = Deciding(exchange, meter, settings.fill_timeout_s)
        self._contracts: dict[str, Decimal] = {}
        self._readers: dict[int, Connection] = {}
        self._reading: list[asyncio.Task[None]] = []
        self._wanted: list[Mapping[str, Instrument]] = []
        self._again: set[str] = set()
        self._filling = Filling()
        self._fills: set[asyncio.Task[None]] = set()
        self.published = False
        """Whether a round reached Kafka."""

    @property
    def left_out(self) -> dict[str, AnySymbol]:
        """By native name: those that the exchange does not let us subscribe to."""
        return self._deciding.left_out

    async def run(self, instruments: Mapping[str, Instrument], stop: asyncio.Event) -> None:
        """Feed these (by native name) until `stop`, then publish what was read.

        Raises `UnavailableError`, in a group: the exchange cannot be connected to, or Kafka fails.
        """
        self._wanted = [instruments]
        async with Publisher(self._settings) as publisher, asyncio.TaskGroup() as tasks:
            publishing = Publishing(publisher, self._settings, self._exchange.name)
            while not (stop.is_set() and not self._inbox):
                while self._wanted:
                    await self._begin(self._wanted.pop(0), publishing, tasks)
                if self._again:
                    self._subscribe_again(tasks)
                arrived = await self._inbox.take(wait_s=ROUND_S, gather_s=GATHER_S)
                outbox = self._deciding.decide(arrived, time.monotonic(), time.time_ns() // 1000)
                newest_ms = await publishing.publish(outbox)
                self._measure(outbox, newest_ms)
                for symbol in outbox.silent:
                    reason = f"the exchange has trades of {symbol.native}, and the connection brings none"
                    self._readers[self._deciding.connection_of[symbol].number].end(reason)
                if stop.is_set():
                    for task in (*self._reading, *self._fills):
                        task.cancel()
                else:
                    self._fill(tasks)
            await publishing.finish()

    def add(self, instruments: Mapping[str, Instrument]) -> None:
        """Feed more symbols, by native name, on connections of their own."""
        self._wanted.append(dict(instruments))

    def try_again(self, natives: Iterable[str]) -> None:
        """Subscribe to these again, where they were left out."""
        self._again |= self.left_out.keys() & set(natives)

    def reconnect(self, reason: str) -> None:
        """End all connections; they are made anew."""
        for reader in self._readers.values():
            reader.end(reason)

    def retire(self, natives: Collection[str]) -> None:
        """Say nothing more of symbols that are not traded any more."""
        for symbol in self._deciding.connection_of:
            if symbol.native in natives:
                symbol.retired = True
                self.left_out.pop(symbol.native, None)

    async def _begin(
        self, instruments: Mapping[str, Instrument], publishing: Publishing, tasks: asyncio.TaskGroup
    ) -> None:
        """Begin to feed these symbols where Kafka says that they are."""
        self._contracts |= contracts_of(instruments)
        self._exchange = self._deciding.exchange = self._exchange.knowing(self._contracts)
        symbols = await self._restored({native: each.symbol for native, each in instruments.items()})
        await publishing.begin_again(symbols)
        for part in split(symbols, self._exchange.symbols_per_connection):
            self._read(self._deciding.add(part), tasks)

    def _read(self, connection: ConnectionState, tasks: asyncio.TaskGroup) -> None:
        reader = self._readers[connection.number] = self._reader(connection)
        self._reading = [task for task in self._reading if not task.done()]
        self._reading.append(tasks.create_task(reader.run(self._inbox)))

    def _subscribe_again(self, tasks: asyncio.TaskGroup) -> None:
        """On connections of their own: another refusal does not interrupt those that work."""
        again = {self.left_out.pop(native): None for native in sorted(self._again & self.left_out.keys())}
        self._again.clear()
        moved: list[AnySymbol] = []
        for connection in dict.fromkeys(self._deciding.connection_of[feed] for feed in again):
            members = self._members(connection)
            if all(feed in again for feed in members):  # its reader has ended, because all of them were refused
                self._read(connection, tasks)
            else:
                moved += [feed for feed in members if feed in again]
        for part in split(moved, self._exchange.symbols_per_connection):
            self._read(self._deciding.add(part), tasks)

    def _members(self, connection: ConnectionState) -> list[AnySymbol]:
        """Its symbols, without those that have another connection now: what they had subscribed to may still come."""
        return [feed for feed in connection.symbols.values() if self._deciding.connection_of[feed] is connection]

    async def _restored(self, names: Mapping[str, str]) -> list[AnySymbol]:
        exchange, partitions = self._exchange, self._settings.partitions
        keys = {native: str(MarketKey(exchange.name, symbol)).encode() for native, symbol in names.items()}
        now_us = time.time_ns() // 1000
        progress = await read_progress(self._settings, keys.values(), now_us, ids_prove=exchange.ids_prove)
        feed_of_symbol: type[SymbolFeed | TextSymbolFeed] = SymbolFeed if exchange.ids_prove else TextSymbolFeed
        return [
            feed_of_symbol(
                MarketKey(exchange.name, symbol),
                native=native,
                partition=partition_of(keys[native], partitions),
                resumption=progress.resumptions.get(keys[native]),
                unusable=progress.unusable.get(keys[native]),
                page_trades=exchange.page_trades,
                lag_s=exchange.rest_limits.lag_s,
            )
            for native, symbol in names.items()
        ]

    def _reader(self, connection: ConnectionState) -> Connection:
        number, names = connection.number, {feed.native: feed.market.symbol for feed in self._members(connection)}
        contracts = {native: each for native, each in self._contracts.items() if native in names}
        record = None if self._recorder is None else self._recorder.connection(number, names, contracts)
        return Connection(number, self._http, self._exchange, names, self._pacing, record=record)

    def _fill(self, tasks: asyncio.TaskGroup) -> None:
        under_way, active = len(self._fills), self._deciding.active
        if under_way >= FILLS_AT_ONCE or not active or self._rest.closed_for_s > LONGEST_WAIT_S:
            return
        now_s = time.monotonic()
        requests = [(feed, request) for feed in active if (request := feed.next_request(now_s)) is not None]
        weight = self._exchange.trades(_asked(*requests[0])).weight if requests else 1
        allowed = self._rest.weights.room_for(weight, now_s)
        room = max(min(allowed, FILLS_AT_ONCE - under_way), FILLS_WAITING - under_way, 0)
        requests.sort(key=lambda pair: not pair[0].gaps)  # gaps first: a live trade may still join the other symbols
        for symbol, request in requests[:room]:
            symbol.in_flight = True
            self._deciding.active.pop(symbol)
            self._deciding.active[symbol] = None  # so that it comes after the others next time
            self._start(tasks, self._ask(symbol, request))
        wanted = [
            (feed, klines) for feed in self._deciding.active if (klines := feed.klines.next_request(now_s)) is not None
        ]
        for symbol, klines in wanted[: max(0, room - len(requests))]:
            symbol.klines.in_flight = True
            self._start(tasks, self._ask_klines(symbol, klines))

    def _start(self, tasks: asyncio.TaskGroup, asking: Coroutine[None, None, None]) -> None:
        task = tasks.create_task(asking)
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def _ask_klines(self, symbol: AnySymbol, request: KlineRequest) -> None:
        exchange = self._exchange
        candles: list[GivenCandle] | None = None
        try:
            body = await self._rest.get(
                exchange.klines(symbol.native, request.from_us // 1000, request.until_us // 1000)
            )
            candles = exchange.read_klines(body)
        except (CandlewickError, MalformedError) as error:  # it asks again, and gives up in time
            logger(STAGE).warning("no klines", symbol=symbol.market.symbol, error=str(error))
        await self._inbox.put(KlineAnswer(symbol, request, candles))

    async def _ask(self, symbol: AnySymbol, request: PageRequest) -> None:
        exchange, name = self._exchange, symbol.market.symbol
        asked = _asked(symbol, request)
        page: TradesPage | None = None
        try:
            body = await self._rest.get(exchange.trades(asked))
            page = exchange.read_trades(body, asked, time.time_ns() // 1000)
        except (CandlewickError, MalformedError) as error:  # the symbol's markers wait, and it asks again
            logger(STAGE).warning("no page of trades", symbol=name, from_id=request.known, error=str(error))
        await self._inbox.put(PageAnswer(symbol, request, page))

    def _measure(self, outbox: Outbox, newest_ms: int | None) -> None:
        self.published = self.published or bool(outbox.trades or outbox.markers)
        count, paged = outbox.count()
        self._meter.count(count, newest_ms=newest_ms)
        fields = self._meter.fields
        fields["gaps_open"] = sum(1 for feed in self._deciding.active if feed.gaps)
        fields["waiting"] = len(self._inbox)
        fields["clock_ms"] = self._deciding.clock_ms
        if outbox.trades:
            newest = outbox.trades[-1][1]
            fields["received_ms"] = (newest.received_us - newest.time_us) // 1000
            fields["acknowledged_ms"] = (time.time_ns() // 1000 - newest.received_us) // 1000
        self._filling.add(paged, outbox.now_s)
        gaps = (gap for feed in self._deciding.active for gap in feed.gaps)
        state = self._filling.state(
            gaps, max((each.time.us for each in self._deciding.connections), default=0), outbox.now_s
        )
        fields["missing_trades"], fields["fill_behind_s"] = state.missing, state.behind_us // 1_000_000
        fields["fill_rest_s"] = None if state.rest_s is None else round(state.rest_s)
        fields["rest_weight"] = self._rest.weights.used
        fields["rest_closed_s"] = round(self._rest.closed_for_s)
        fields["clocks_away"] = sum(1 for connection in self._deciding.connections if connection.time.is_away)
        for event in outbox.events:
            if event.event in _COUNTED:
                self._meter.add(_COUNTED[event.event])
                logger(STAGE).info(
                    event.event.value,
                    symbol=event.symbol,
                    first_id=event.first_id,
                    last_id=event.last_id,
                    from_us=event.from_us,
                    until_us=event.until_us,
                    reason=event.reason,
                )


_COUNTED: dict[FeedEventKind, FigureName] = {
    FeedEventKind.GAP_FILLED: "gaps_filled",
    FeedEventKind.HOLE: "holes",
    FeedEventKind.RESET: "resets",
    FeedEventKind.TAKEN_BACK: "taken_back",
    FeedEventKind.CONFLICT: "conflicts",
}


def _asked(symbol: AnySymbol, request: PageRequest) -> TradesRequest:
    return TradesRequest(symbol.native, symbol.market.symbol, request.limit, request.known, request.known_us)
