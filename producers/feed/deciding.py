"""What a session decides in each round: what arrived goes to the feeds of its symbols, and they say what to publish.

No I/O, and no clock is read: times are arguments.
"""

from collections.abc import Iterable, Sequence

from market.codec import encode_trade
from market.feed import FeedEventKind
from market.timeframe import minute_us
from market.trade import Trade, numeric_id
from producers.exchange import Exchange, Message, RefusedTrade, TradeFrames, TradesPage
from producers.feed.any_symbol import AnySymbol
from producers.feed.connection_state import ConnectionState
from producers.feed.inbox import Arrival, Connected, Disconnected, FromConnection, KlineAnswer, LeftOut, PageAnswer
from producers.feed.market_clock import LATE_US, MarketClock
from producers.feed.outbox import Outbox
from producers.feed.progress import STAGE
from producers.feed.symbol import SERVER_GRACE_US
from runtime.telemetry import Meter, logger

_UNKNOWN_US = -(1 << 62)


class Deciding:
    """The connections of a session and the feeds of their symbols."""

    def __init__(self, exchange: Exchange, meter: Meter, fill_timeout_s: float) -> None:
        self.exchange = exchange
        self._meter = meter
        self._fill_timeout_s = fill_timeout_s
        self._market = MarketClock()
        self._ahead_us = _UNKNOWN_US
        self.connections: list[ConnectionState] = []
        self.connection_of: dict[AnySymbol, ConnectionState] = {}
        self.active: dict[AnySymbol, None] = {}
        """The symbols that wait for something, as an ordered set."""
        self.left_out: dict[str, AnySymbol] = {}
        """By native name: those that the exchange does not let us subscribe to."""

    def add(self, symbols: Iterable[AnySymbol]) -> ConnectionState:
        """One more connection, of these symbols."""
        connection = ConnectionState(len(self.connections), symbols, self._market)
        self.connections.append(connection)
        feeds = connection.symbols.values()
        self.connection_of |= dict.fromkeys(feeds, connection)
        self.active |= dict.fromkeys(feeds)
        return connection

    @property
    def clock_ms(self) -> int | None:
        """How far the exchange's clock is ahead of ours, at most; None: not known."""
        return None if self._ahead_us == _UNKNOWN_US else self._ahead_us // 1000

    def decide(self, arrived: Sequence[Arrival], now_s: float, wall_us: int) -> Outbox:
        """One round: `now_s` on the monotonic clock, `wall_us` on ours."""
        outbox = Outbox(now_s, wall_us // 1000)
        self._market.tick(now_s, wall_us)
        messages = newest_us = 0
        for item in arrived:
            if not isinstance(item, FromConnection):
                self._answer(item, outbox)
            elif isinstance(event := item.event, TradeFrames):
                messages += len(event.frames)
                newest_us = max(newest_us, event.times.server_us)
                self._together(self.connections[item.number], event, outbox)
            elif isinstance(event, Message):
                messages += 1
                newest_us = max(newest_us, event.server_us)
                self._message(self.connections[item.number], event, outbox)
            else:
                self._connection(self.connections[item.number], event, outbox)
        self._meter.add("messages", messages)
        if newest_us:
            self._ahead_us = max(self._ahead_us, newest_us - wall_us)
        for connection in self.connections:
            connection.report_clock(self._market.limit_us, outbox)
            self._meter.add("clock_ignored", connection.report_ignored(outbox))
        self._emit_due(outbox)
        return outbox

    def _answer(self, answer: PageAnswer | KlineAnswer, outbox: Outbox) -> None:
        symbol = answer.symbol
        if isinstance(answer, PageAnswer):
            symbol.page(answer.request, self._possible(answer.page), self.connection_of[symbol].time.us, outbox)
        else:
            symbol.klines.answer(answer.request, answer.candles, outbox.now_s)

    def _connection(
        self, connection: ConnectionState, event: Connected | Disconnected | LeftOut, outbox: Outbox
    ) -> None:
        if isinstance(event, Connected):
            connection.accepted = {} if event.acknowledged else dict(connection.symbols)
            connection.time.reconnected()
        elif isinstance(event, Disconnected):
            self._disconnected(connection, event, outbox)
        else:
            self._leave_out(connection, event, outbox)

    def _disconnected(self, connection: ConnectionState, event: Disconnected, outbox: Outbox) -> None:
        self._meter.add("reconnects")
        for symbol in connection.carried.values():
            symbol.disconnected(event.reason, connection.time.us, outbox)
        self.active |= dict.fromkeys(connection.carried.values())
        connection.carried, connection.accepted = {}, {}

    def _leave_out(self, connection: ConnectionState, event: LeftOut, outbox: Outbox) -> None:
        """Symbols that the exchange does not let us subscribe to: each is disconnected, and its minutes wait."""
        reason = f"the exchange refuses the subscription: {event.reason}"
        for native in event.natives:
            symbol = self.left_out[native] = connection.by_native[native]
            connection.accepted.pop(symbol.market.symbol, None)
            logger(STAGE).warning("left out", symbol=symbol.market.symbol, reason=reason)
            if connection.carried.pop(symbol.market.symbol, None) is None:
                symbol.report(FeedEventKind.DISCONNECTED, outbox, reason=reason)
            else:
                symbol.disconnected(reason, connection.time.us, outbox)

    def _possible(self, page: TradesPage | None) -> TradesPage | None:
        """A page; trades with impossible times are refused."""
        if page is None:
            return None
        rows = [
            _impossible(row) if isinstance(row, Trade) and row.time_us > self._market.limit_us else row
            for row in page.rows
        ]
        return page._replace(rows=rows)

    def _together(self, connection: ConnectionState, frames: TradeFrames, outbox: Outbox) -> None:
        """Frames with a trade each: the same as `_message` with each, where nothing needs a decision."""
        if connection.accepted or not connection.time.hear_together(frames.times):
            for frame, received_us in zip(frames.frames, frames.received_us, strict=True):
                self._message(connection, self.exchange.read(frame, connection.names, received_us), outbox)
            return
        for native, trades in frames.trades.items():
            symbol = connection.by_native[native]
            symbol.live_together(trades, outbox)
            if symbol.gaps:
                self.active[symbol] = None

    def _message(self, connection: ConnectionState, message: Message, outbox: Outbox) -> None:
        server_us, trades = message.server_us, message.trades
        if not trades:
            connection.time.hear(server_us)
        for native in message.accepted:
            feed = connection.by_native.get(native)
            if feed is not None and feed.market.symbol not in connection.carried:
                connection.accepted[feed.market.symbol] = feed
        if connection.accepted and server_us:  # now the subscriptions certainly work
            self._carried(connection, message, outbox)
        for trade in trades:
            if connection.time.hear(server_us, trade.time_us):
                symbol = connection.symbols[trade.symbol]
                symbol.live(trade, outbox)
                if symbol.gaps:
                    self.active[symbol] = None
            else:
                self._refused(connection, _impossible(trade), outbox)
        for refused in message.refused:
            self._refused(connection, refused, outbox)

    def _carried(self, connection: ConnectionState, message: Message, outbox: Outbox) -> None:
        """Tell the feeds of the symbols that the exchange took that the connection carries them."""
        from_us = min([message.server_us, *(trade.time_us + LATE_US for trade in message.trades)])
        since_us = self._market.present_at(from_us)
        for symbol in connection.accepted.values():
            symbol.connected(since_us, outbox)
            if connection.time.is_away:  # said again, for readers that count from a connection's beginning
                symbol.report(FeedEventKind.CLOCK_AWAY, outbox)
        connection.carried |= connection.accepted
        connection.accepted = {}

    def _refused(self, connection: ConnectionState, refused: RefusedTrade, outbox: Outbox) -> None:
        connection.refused += 1
        self._meter.add("refused")
        symbol = connection.symbols.get(refused.symbol or "")
        if symbol is None:
            outbox.refused.append((None, refused))
        else:
            symbol.refused(refused, connection.time.us, outbox)
            self.active[symbol] = None

    def _emit_due(self, outbox: Outbox) -> None:
        due: dict[AnySymbol, None] = dict(self.active)
        for connection in self.connections:
            minute = minute_us(max(0, connection.time.us - SERVER_GRACE_US))
            if minute > connection.marked_us:
                connection.marked_us = minute
                due |= dict.fromkeys(connection.symbols.values())
        for symbol in due:
            symbol.emit_due(self.connection_of[symbol].time.us, self._fill_timeout_s, outbox)
            if symbol.is_caught_up:
                self.active.pop(symbol, None)
            else:
                self.active[symbol] = None


def _impossible(trade: Trade) -> RefusedTrade:
    """A trade with an impossible time."""
    reason = f"its time {trade.time_us} us is impossible, by the exchange's clock and ours"
    return RefusedTrade(encode_trade(trade), reason, trade.symbol, numeric_id(trade.trade_id))
