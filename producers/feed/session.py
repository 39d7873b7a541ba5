"""One session of a feed, in rounds: take what arrived, decide (pure), publish in order, wait for acknowledgements."""

import asyncio
import time
from collections.abc import Iterable, Mapping

import aiohttp

from market.codec import encode_trade
from market.errors import MalformedError
from market.feed import FeedEventKind
from market.partition import partition_of
from market.timeframe import minute_us
from market.trade import Trade
from producers.exchange import Exchange, Message, RefusedTrade
from producers.feed.connection import Connection, split
from producers.feed.inbox import Arrival, Down, Inbox, Page, Up
from producers.feed.market_clock import LATE_US, CarriedTime, ClockTurn, MarketClock
from producers.feed.progress import read_progress
from producers.feed.publishing import Publishing
from producers.feed.rest import LONGEST_WAIT_S, RestClient
from producers.feed.round import Round
from producers.feed.symbol import SERVER_GRACE_US, SymbolFeed, Wanted
from runtime.errors import CandlewickError
from runtime.figures import FigureName
from runtime.kafka import Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

STAGE = "produce"
INBOX_MESSAGES = 20_000
ROUND_S = 0.2
"""A round comes at least so often, for what only time makes due."""
GATHER_S = 0.01
FILLS_AT_ONCE = 4
TELL_EVERY_S = 10.0
"""What may come with every message is told so often at most."""


class ConnectionState:
    """The symbols of one connection, and how far market time has passed by what the connection carries."""

    def __init__(self, number: int, symbols: Iterable[SymbolFeed], market: MarketClock) -> None:
        self.number = number
        self.symbols = {one.symbol: one for one in symbols}
        self.time = CarriedTime(market)
        self.marked_us = 0
        self.connecting = self.up = False
        self.told_ignored = self.told_refused = 0
        self.refused = 0
        self.tell_at_s = 0.0


class Session:
    """Feeds symbols from where Kafka says they are; after any error of Kafka's it must be discarded."""

    def __init__(
        self, settings: Settings, exchange: Exchange, http: aiohttp.ClientSession, rest: RestClient, meter: Meter
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._http = http
        self._meter = meter
        self._rest = rest
        self._market = MarketClock()
        self._inbox: Inbox = Inbox(INBOX_MESSAGES)
        self._lines: list[ConnectionState] = []
        self._line_of: dict[SymbolFeed, ConnectionState] = {}
        self._active: dict[SymbolFeed, None] = {}
        self._fills: set[asyncio.Task[None]] = set()
        self.published = False
        """Whether a round reached Kafka."""

    async def run(self, names: Mapping[str, str], stop: asyncio.Event) -> None:
        """Feed the symbols (native name to ours) until `stop`, then publish what was read."""
        await self._restore(names)
        async with Publisher(self._settings) as publisher, asyncio.TaskGroup() as tasks:
            publishing = Publishing(publisher, self._settings, self._exchange.name)
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
        progress = await read_progress(self._settings, keys.values(), time.time_ns() // 1000)
        for natives in split(list(names), exchange.symbols_per_connection):
            symbols = [
                SymbolFeed(
                    exchange.name,
                    names[native],
                    native=native,
                    partition=partition_of(keys[native], partitions),
                    newest=progress.markers.get(keys[native]),
                    reset=progress.resets.get(keys[native]),
                    began_anew=progress.began_anew.get(keys[native]),
                    page_trades=exchange.page_trades,
                )
                for native in natives
            ]
            line = ConnectionState(len(self._lines), symbols, self._market)
            self._lines.append(line)
            self._line_of |= dict.fromkeys(symbols, line)
        self._active = dict.fromkeys(self._line_of)

    def _connection(self, line: ConnectionState) -> Connection:
        names = {one.native: one.symbol for one in line.symbols.values()}
        return Connection(line.number, self._http, self._exchange, names)

    def _decide(self, arrived: list[Arrival]) -> Round:
        now_us = time.time_ns() // 1000
        round_ = Round(time.monotonic(), now_us // 1000)
        self._market.tick(round_.now_s, now_us)
        for item in arrived:
            if isinstance(item, Page):
                item.symbol.page(item.wanted, self._possible(item), self._line_of[item.symbol].time.us, round_)
                continue
            number, what = item
            line = self._lines[number]
            if isinstance(what, Message):
                self._message(line, what, round_)
            elif isinstance(what, Up):
                line.connecting = True
                line.time.reconnected()
            else:
                self._down(line, what, round_)
        for line in self._lines:
            self._tell(line, round_)
        self._emit_due(round_)
        return round_

    def _possible(self, page: Page) -> "list[Trade | RefusedTrade] | None":
        """The rows of a page; trades of times that cannot be are refused."""
        if page.rows is None:
            return None
        return [
            _impossible(row) if isinstance(row, Trade) and row.time_us > self._market.limit_us else row
            for row in page.rows
        ]

    def _message(self, line: ConnectionState, message: Message, round_: Round) -> None:
        trade, refused = message.trade, message.refused
        can_be = line.time.hear(message.server_us, 0 if trade is None else trade.time_us)
        if trade is not None and not can_be:
            refused, trade = _impossible(trade), None
        if line.connecting and message.server_us:  # now it is sure that the subscription is there
            line.connecting, line.up = False, True
            since_us = self._market.present_at(
                message.server_us if trade is None else min(message.server_us, trade.time_us + LATE_US)
            )
            for symbol in line.symbols.values():
                symbol.connected(since_us, round_)
                if line.time.is_away:  # said again, for whoever counts from the connection on
                    symbol.tell(FeedEventKind.CLOCK_AWAY, round_)
        if trade is not None:
            symbol = line.symbols[trade.symbol]
            symbol.live(trade, round_)
            if symbol.gaps:
                self._active[symbol] = None
        elif refused is not None:
            self._refused(line, refused, round_)

    def _refused(self, line: ConnectionState, refused: RefusedTrade, round_: Round) -> None:
        line.refused += 1
        self._meter.add("refused")
        symbol = line.symbols.get(refused.symbol or "")
        if symbol is None:
            round_.refused.append((None, refused))
        else:
            symbol.refused(refused, line.time.us, round_)
            self._active[symbol] = None

    def _tell(self, line: ConnectionState, round_: Round) -> None:
        """Say what is wrong with a connection's clock and messages: what lasts at once, the rest now and then."""
        clock, log = line.time, logger(STAGE)
        turn = clock.turn(round_.now_s)
        if turn is not None:
            reason = f"the exchange's clock said {clock.said_us} us, at most {self._market.limit_us} can be"
            if turn is ClockTurn.AWAY:
                log.error("the exchange's clock is away: markers wait", connection=line.number, reason=reason)
            else:
                log.warning("the exchange's clock is back", connection=line.number)
            for symbol in line.symbols.values():
                kind, about = (FeedEventKind.CLOCK_AWAY, {"reason": reason})
                if turn is ClockTurn.BACK:
                    kind, about = FeedEventKind.CLOCK_BACK, {}
                symbol.tell(kind, round_, **about)
        news = clock.ignored - line.told_ignored
        refused = line.refused - line.told_refused
        if round_.now_s < line.tell_at_s or not (news or refused):
            return
        line.tell_at_s = round_.now_s + TELL_EVERY_S
        line.told_ignored, line.told_refused = clock.ignored, line.refused
        if news:
            self._meter.add("clock_ignored", news)
            reason = f"{news} messages whose clock cannot be right, the last of {clock.said_us} us"
            log.warning("clock ignored", connection=line.number, reason=reason)
            if not clock.is_away:
                next(iter(line.symbols.values())).tell(FeedEventKind.CLOCK_IGNORED, round_, reason=reason)
        if refused:
            log.warning(
                "refused", connection=line.number, reason=f"{refused} messages are no trades: see the dead letters"
            )

    def _down(self, line: ConnectionState, down: Down, round_: Round) -> None:
        self._meter.add("reconnects")
        if line.up:
            for symbol in line.symbols.values():
                symbol.disconnected(down.reason, round_)
            self._active |= dict.fromkeys(line.symbols.values())
        line.connecting = line.up = False

    def _emit_due(self, round_: Round) -> None:
        timeout_s = self._settings.fill_timeout_s
        due: dict[SymbolFeed, None] = dict(self._active)
        for line in self._lines:
            minute = minute_us(max(0, line.time.us - SERVER_GRACE_US))
            if minute > line.marked_us:
                line.marked_us = minute
                due |= dict.fromkeys(line.symbols.values())
        for symbol in due:
            symbol.emit_due(self._line_of[symbol].time.us, timeout_s, round_)
            if symbol.is_caught_up:
                self._active.pop(symbol, None)

    def _fill(self, tasks: asyncio.TaskGroup) -> None:
        room = FILLS_AT_ONCE - len(self._fills)
        if not room or not self._active or self._rest.closed_for_s > LONGEST_WAIT_S:
            return
        now_s = time.monotonic()
        wanting = [(one, wanted) for one in self._active if (wanted := one.wanted(now_s)) is not None]
        wanting.sort(key=lambda pair: not pair[0].gaps)  # others may still be joined by a live trade
        for symbol, wanted in wanting[:room]:
            symbol.in_flight = True
            self._active.pop(symbol)
            self._active[symbol] = None  # behind the others, next time
            task = tasks.create_task(self._ask(symbol, wanted))
            self._fills.add(task)
            task.add_done_callback(self._fills.discard)

    async def _ask(self, symbol: SymbolFeed, wanted: Wanted) -> None:
        exchange = self._exchange
        if wanted.known is None:
            request = exchange.newest_trade(symbol.native)
        else:
            request = exchange.trades_from(symbol.native, wanted.known, wanted.limit)
        rows: list[Trade | RefusedTrade] | None = None
        try:
            body = await self._rest.get(request)
            rows = exchange.read_trades(body, symbol.symbol, time.time_ns() // 1000)
        except (CandlewickError, MalformedError) as error:  # the symbol's markers wait, and it asks again
            logger(STAGE).warning("no page of trades", symbol=symbol.symbol, from_id=wanted.known, error=str(error))
        await self._inbox.put(Page(symbol, wanted, rows))

    def _report(self, round_: Round, newest_ms: int | None) -> None:
        self.published = self.published or bool(round_.trades or round_.markers)
        self._meter.count(len(round_.trades), newest_ms=newest_ms)
        fields = self._meter.fields
        fields["gaps_open"] = sum(1 for one in self._active if one.gaps)
        fields["rest_weight"] = self._rest.weights.used
        fields["rest_closed_s"] = round(self._rest.closed_for_s)
        fields["clocks_away"] = sum(1 for line in self._lines if line.time.is_away)
        for event in round_.events:
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


def _impossible(trade: Trade) -> RefusedTrade:
    """A trade of a time that cannot be."""
    reason = f"its time {trade.time_us} us cannot be, by the exchange's clock and ours"
    return RefusedTrade(encode_trade(trade), reason, trade.symbol, int(trade.trade_id))
