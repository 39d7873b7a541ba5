"""The simulated exchange: its markets, its clock, its connections, and the tick that moves all of them on."""

import asyncio
import time

from producers.simulator.archive import Archive, IdRange
from producers.simulator.clock import MarketClock
from producers.simulator.connection import Connection
from producers.simulator.faults import Action, FaultPlan
from producers.simulator.history import GeneratedHistory, History
from producers.simulator.instruments import instrument
from producers.simulator.recording import read_recording
from producers.simulator.settings import SimulatorSettings
from producers.simulator.tape import Tape
from runtime.errors import UsageError

TICK_S = 0.02
DEFAULT_PAST_S = 15 * 60
"""Without a start, market time begins so many wall seconds' worth before now, so that it can run at its speed."""


class Exchange:
    """All state of the server; everything runs on one event loop."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        wall_us = _wall_us()
        start_us = wall_us - int(settings.speed * DEFAULT_PAST_S) * 1_000_000
        histories: list[History]
        if settings.recording is None:
            histories = [GeneratedHistory(settings.seed, instrument(symbol)) for symbol in settings.symbols]
        else:
            recorded = read_recording(settings.recording, settings.symbols[0])
            histories, start_us = [recorded], recorded.start_ms * 1_000
        if settings.start_us is not None:
            start_us = settings.start_us
        self.archives = {history.instrument.symbol: Archive(history) for history in histories}
        self.clock = MarketClock(start_us=min(start_us, wall_us), wall_start_us=wall_us, speed=settings.speed)
        self.tape = Tape(self.archives, self.now_ms)
        self.plan = FaultPlan(settings.faults, settings.seed)
        self.connections: set[Connection] = set()
        self._sent_by_gone = 0
        self._stalled_until_s = self._rest_429_until_s = 0.0
        self._shutting_down: tuple[float, tuple[Connection, ...]] | None = None

    @property
    def now_us(self) -> int:
        """Market time, UTC microseconds."""
        return self.clock.at(_wall_us())

    @property
    def now_ms(self) -> int:
        """Market time, UTC milliseconds."""
        return self.now_us // 1_000

    @property
    def messages_sent(self) -> int:
        """Stream messages of all connections so far."""
        return self._sent_by_gone + sum(connection.sent for connection in self.connections)

    @property
    def rest_429_for_s(self) -> float:
        """How long REST goes on to answer 429 on request; 0 if it does not."""
        return max(0.0, self._rest_429_until_s - time.monotonic())

    def join(self, connection: Connection) -> None:
        """Take up a new connection."""
        self.connections.add(connection)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        connection.leave()
        self._sent_by_gone += connection.sent
        self.connections.discard(connection)

    async def run(self) -> None:
        """Move on, tick by tick, until cancelled."""
        while True:
            self.tick(asyncio.get_running_loop().time())
            await asyncio.sleep(TICK_S)

    def tick(self, now_s: float) -> None:
        """Send what has happened since the last tick, and do the faults that are due."""
        for action in self.plan.due(now_s):
            self.do(action)
        for entry in self.tape.advance(self.now_ms):
            for subscriber in entry[1].subscribers:
                subscriber.pending.append(entry)
        stalled = now_s < self._stalled_until_s
        for connection in tuple(self.connections):
            if stalled:
                connection.hold()
            else:
                connection.flush(now_s)
                connection.keep_alive(now_s, self.now_ms)
        if self._shutting_down and now_s >= self._shutting_down[0]:
            for connection in self.connections.intersection(self._shutting_down[1]):
                connection.close(1001, "server shutdown")
            self._shutting_down = None

    def do(self, action: Action) -> None:
        """Do a fault now."""
        now_s, faults = time.monotonic(), self.plan.faults
        self.plan.done[action.value] += 1
        match action:
            case Action.DROP:
                for connection in self.connections:
                    connection.drop()
            case Action.STALL:
                self._stalled_until_s = now_s + faults.stall_s
            case Action.REST_429:
                self._rest_429_until_s = now_s + faults.rest_429_s
            case Action.SHUTDOWN:
                for connection in self.connections:
                    connection.announce_shutdown(self.now_ms)
                self._shutting_down = (now_s + faults.shutdown_grace_s, tuple(self.connections))
            case Action.WITHHOLD:
                symbols = list(self.archives)
                self.withhold(f"{symbols[self.plan.pick(len(symbols))]}:{int(faults.withhold_ids)}")

    def withhold(self, what: str) -> None:
        """Withhold the next three ids of a market (``BTCUSDT:3``), or certain ones (``BTCUSDT:1000-1002``)."""
        symbol, _, ids = what.partition(":")
        archive = self.archives.get(symbol)
        first, dash, last = ids.partition("-")
        if archive is None or not first.isdigit() or (dash and not last.isdigit()):
            raise UsageError(f"{what!r} does not say what to withhold: SYMBOL:COUNT or SYMBOL:FIRST_ID-LAST_ID")
        archive.withhold(IdRange(int(first), int(last)) if dash else archive.next_ids(int(first), self.now_ms))
        self.tape.remake()


def _wall_us() -> int:
    return time.time_ns() // 1_000
