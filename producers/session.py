"""One session of a feed, in rounds: take what arrived, decide (pure), publish in order, wait for acknowledgements."""

import asyncio
import time
from collections.abc import Iterable, Mapping

import aiohttp

from market.errors import MalformedError
from market.feed import FeedEventKind
from market.partition import partition_of
from market.timeframe import minute_us
from market.trade import Trade
from producers.connection import Connection, split
from producers.exchange import Exchange, Message
from producers.inbox import Arrival, Down, Inbox, Page, Up
from producers.publishing import Publishing, newest_markers
from producers.rest import RestClient
from producers.symbol import SERVER_GRACE_US, Round, SymbolFeed, Wanted
from runtime.errors import CandlewickError
from runtime.kafka import Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

STAGE = "produce"
INBOX_MESSAGES = 20_000
ROUND_S = 0.2
"""A round comes at least so often, for what only time makes due."""
GATHER_S = 0.01
FILLS_AT_ONCE = 4


class Line:
    """The symbols of one connection, and the server's clock as the connection carries it."""

    def __init__(self, number: int, symbols: Iterable[SymbolFeed]) -> None:
        self.number = number
        self.symbols = {one.symbol: one for one in symbols}
        self.server_us = 0
        self.marked_us = 0
        self.connecting = self.up = False


class Session:
    """Feeds symbols from where Kafka says they are; after any error of Kafka's it must be discarded."""

    def __init__(self, settings: Settings, exchange: Exchange, http: aiohttp.ClientSession, meter: Meter) -> None:
        self._settings = settings
        self._exchange = exchange
        self._http = http
        self._meter = meter
        self._rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        self._inbox: Inbox = Inbox(INBOX_MESSAGES)
        self._lines: list[Line] = []
        self._line_of: dict[SymbolFeed, Line] = {}
        self._unsettled: dict[SymbolFeed, None] = {}
        self._fills: set[asyncio.Task[None]] = set()
        self.published = False
        """Whether a round reached Kafka."""

    async def run(self, names: Mapping[str, str], stop: asyncio.Event) -> None:
        """Feed the symbols (native name to ours) until `stop`, then publish what was read."""
        await self._restore(names)
        async with Publisher(self._settings) as publisher, asyncio.TaskGroup() as tasks:
            publishing = Publishing(publisher, self._settings)
            await publishing.begin_again(self._line_of)
            readers = [
                tasks.create_task(connection.run(self._inbox))
                for connection in (self._connection(line) for line in self._lines)
            ]
            while not (stop.is_set() and not self._inbox):
                arrived = await self._inbox.take(wait_s=ROUND_S, gather_s=GATHER_S)
                round_ = self._decide(arrived)
                newest_ms = await publishing.publish(round_)
                self._report(round_, newest_ms)
                if stop.is_set():
                    for task in (*readers, *self._fills):
                        task.cancel()
                else:
                    self._fill(tasks)
            await publishing.finish()

    async def _restore(self, names: Mapping[str, str]) -> None:
        exchange, partitions = self._exchange, self._settings.partitions
        keys = {native: f"{exchange.name}:{symbol}".encode() for native, symbol in names.items()}
        newest = await newest_markers(self._settings, keys.values())
        for natives in split(list(names), exchange.symbols_per_connection):
            symbols = [
                SymbolFeed(
                    exchange.name,
                    names[native],
                    native=native,
                    partition=partition_of(keys[native], partitions),
                    newest=newest.get(keys[native]),
                    page_trades=exchange.page_trades,
                )
                for native in natives
            ]
            line = Line(len(self._lines), symbols)
            self._lines.append(line)
            self._line_of |= dict.fromkeys(symbols, line)
        self._unsettled = dict.fromkeys(self._line_of)

    def _connection(self, line: Line) -> Connection:
        names = {one.native: one.symbol for one in line.symbols.values()}
        return Connection(line.number, self._http, self._exchange, names)

    def _decide(self, arrived: list[Arrival]) -> Round:
        round_ = Round(time.monotonic(), time.time_ns() // 1_000_000)
        for item in arrived:
            if isinstance(item, Page):
                item.symbol.page(item.wanted, item.trades, self._line_of[item.symbol].server_us, round_)
                continue
            number, what = item
            line = self._lines[number]
            if isinstance(what, Message):
                self._message(line, what, round_)
            elif isinstance(what, Up):
                line.connecting = True
            else:
                self._down(line, what, round_)
        self._settle(round_)
        return round_

    def _message(self, line: Line, message: Message, round_: Round) -> None:
        line.server_us = max(line.server_us, message.server_us)
        if line.connecting and message.server_us:  # now it is sure that the subscription is there
            line.connecting, line.up = False, True
            for symbol in line.symbols.values():
                symbol.connected(round_)
        trade = message.trade
        if trade is not None:
            symbol = line.symbols[trade.symbol]
            symbol.live(trade, line.server_us, round_)
            if symbol.gaps:
                self._unsettled[symbol] = None

    def _down(self, line: Line, down: Down, round_: Round) -> None:
        self._meter.add("reconnects")
        if line.up:
            for symbol in line.symbols.values():
                symbol.disconnected(down.reason, round_)
            self._unsettled |= dict.fromkeys(line.symbols.values())
        line.connecting = line.up = False

    def _settle(self, round_: Round) -> None:
        timeout_s = self._settings.fill_timeout_s
        due: dict[SymbolFeed, None] = dict(self._unsettled)
        for line in self._lines:
            minute = minute_us(max(0, line.server_us - SERVER_GRACE_US))
            if minute > line.marked_us:
                line.marked_us = minute
                due |= dict.fromkeys(line.symbols.values())
        for symbol in due:
            symbol.settle(self._line_of[symbol].server_us, timeout_s, round_)
            if symbol.settled:
                self._unsettled.pop(symbol, None)

    def _fill(self, tasks: asyncio.TaskGroup) -> None:
        room = FILLS_AT_ONCE - len(self._fills)
        if not room or not self._unsettled:
            return
        now_s = time.monotonic()
        wanting = [(one, wanted) for one in self._unsettled if (wanted := one.wanted(now_s)) is not None]
        wanting.sort(key=lambda pair: not pair[0].gaps)  # others may still be joined by a live trade
        for symbol, wanted in wanting[:room]:
            symbol.in_flight = True
            self._unsettled.pop(symbol)
            self._unsettled[symbol] = None  # behind the others, next time
            task = tasks.create_task(self._ask(symbol, wanted))
            self._fills.add(task)
            task.add_done_callback(self._fills.discard)

    async def _ask(self, symbol: SymbolFeed, wanted: Wanted) -> None:
        exchange = self._exchange
        if wanted.from_id is None:
            request = exchange.newest_trade(symbol.native)
        else:
            request = exchange.trades_from(symbol.native, wanted.from_id, wanted.limit)
        trades: list[Trade] | None = None
        try:
            body = await self._rest.get(request)
            trades = exchange.read_trades(body, symbol.symbol, time.time_ns() // 1000)
        except (CandlewickError, MalformedError) as error:  # the symbol's markers wait, and it asks again
            logger(STAGE).warning("no page of trades", symbol=symbol.symbol, from_id=wanted.from_id, error=str(error))
        await self._inbox.put(Page(symbol, wanted, trades))

    def _report(self, round_: Round, newest_ms: int | None) -> None:
        self.published = self.published or bool(round_.trades or round_.markers)
        self._meter.count(len(round_.trades), newest_ms=newest_ms)
        fields = self._meter.fields
        fields["gaps_open"] = sum(1 for one in self._unsettled if one.gaps)
        fields["rest_weight"] = self._rest.weights.used
        for event in round_.events:
            if event.event in _COUNTED:
                self._meter.add(_COUNTED[event.event])
                logger(STAGE).info(
                    event.event.value, symbol=event.symbol, first_id=event.first_id, last_id=event.last_id
                )


_COUNTED = {
    FeedEventKind.GAP_FILLED: "gaps_filled",
    FeedEventKind.HOLE: "holes",
    FeedEventKind.RESET: "resets",
}
