"""The simulated exchange: its markets, its clock, its connections, and the tick that moves all of them on."""

import asyncio
import time

from producers.simulator.archive import Archive, Reset
from producers.simulator.clock import SimulatedClock
from producers.simulator.connection import StreamConnection
from producers.simulator.fates import Fate
from producers.simulator.faults import Action, FaultPlan
from producers.simulator.history import GeneratedHistory, TradeHistory
from producers.simulator.ids import IdRange
from producers.simulator.instruments import instrument
from producers.simulator.recording import read_recording
from producers.simulator.settings import SimulatorSettings
from producers.simulator.tape import Tape
from producers.simulator.venue import Venue
from runtime.errors import UsageError

TICK_S = 0.02
_RANGE = 2
_RESET = "reset"
_FATES = {
    Action.WITHHOLD: Fate.WITHHELD,
    Action.JUMP: Fate.JUMPED,
    Action.SPOIL: Fate.SPOILED,
    Action.RETELL: Fate.RETOLD,
}
DEFAULT_PAST_S = 15 * 60
"""Without a start, market time begins so many wall seconds (times speed) ago, so that it can run at its speed."""


class SimulatedExchange:
    """All state of the server; everything runs on one event loop."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        wall_us = _wall_us()
        start_us = wall_us - int(settings.speed * DEFAULT_PAST_S) * 1_000_000
        histories: list[TradeHistory]
        if settings.recording is None:
            histories = [GeneratedHistory(settings.seed, instrument(symbol)) for symbol in settings.symbols]
        else:
            recorded = read_recording(settings.recording, settings.symbols[0])
            histories, start_us = [recorded], recorded.start_ms * 1_000
        if settings.start_us is not None:
            start_us = settings.start_us
        self.clock = SimulatedClock(start_us=min(start_us, wall_us), wall_start_us=wall_us, speed=settings.speed)
        self.tape = Tape(self.now_ms)
        self.plan = FaultPlan(settings.faults, settings.seed)
        self.venue = Venue(histories, self.plan, seed=settings.seed, speed=settings.speed, now=lambda: self.now_us)
        self.archives = self.venue.archives
        self.connections: set[StreamConnection] = set()
        self._sent_by_gone = 0
        self._stalled_until_s = self._rest_429_until_s = self._away_until_s = self._maintained_until_s = 0.0
        self._shutting_down: tuple[float, tuple[StreamConnection, ...]] | None = None

    @property
    def now_us(self) -> int:
        """Market time, UTC microseconds."""
        return self.clock.market_us(_wall_us())

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
        """For how long REST still answers 429 because of a fault; 0: it does not."""
        return max(0.0, self._rest_429_until_s - time.monotonic())

    @property
    def takes_connections(self) -> bool:
        """Whether a new connection is accepted now."""
        return time.monotonic() >= self._away_until_s and self.takes_requests

    @property
    def takes_requests(self) -> bool:
        """Whether REST answers at all: not during maintenance."""
        return time.monotonic() >= self._maintained_until_s

    def join(self, connection: StreamConnection) -> None:
        """Add a new connection."""
        self.connections.add(connection)

    def leave(self, connection: StreamConnection) -> None:
        """Remove a connection that has ended."""
        connection.end()
        self._sent_by_gone += connection.sent
        self.connections.discard(connection)

    async def run(self) -> None:
        """Run tick by tick, until cancelled."""
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
                connection.stall()
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
                self._away_until_s = now_s + faults.drop_for_s
                self._drop_all()
            case Action.MAINTENANCE:
                self._maintained_until_s = now_s + faults.maintenance_for_s
                self._drop_all()
            case Action.STALL:
                self._stalled_until_s = now_s + faults.stall_s
            case Action.REST_429:
                self._rest_429_until_s = now_s + faults.rest_429_s
            case Action.SHUTDOWN:
                for connection in self.connections:
                    connection.announce_shutdown()
                self._shutting_down = (now_s + faults.shutdown_grace_s, tuple(self.connections))
            case Action.CLOCK:
                self.plan.jump_clock(now_s)
            case _:
                self._change_market(action)

    def _change_market(self, action: Action) -> None:
        """Reset the ids of some market, or give its next ones a fate."""
        for archive in self.venue.both(self._any_market()):
            if action is Action.RESET:
                archive.reset(self.now_ms)
            else:
                count = int(getattr(self.plan.faults, f"{action.value}_ids"))
                self._give_fate(action, archive, archive.next_ids(count, self.now_ms))
        self.tape.remake()

    def suspend(self, symbol: str) -> None:
        """See `Venue.suspended`."""
        if symbol not in self.archives:
            raise UsageError(f"{symbol!r} is none of the markets")
        self.venue.suspended.add(symbol)

    def change_ids(self, action: Action, what: str) -> None:
        """Apply one of `ON_IDS` to a market's next three ids (``BTCUSDT:3``), or to given ones (``BTCUSDT:7-9``)."""
        archive, numbers = self._parsed(what)
        ids = archive.next_ids(numbers[0], self.now_ms) if len(numbers) == 1 else IdRange(*numbers)
        self._give_fate(action, archive, ids)

    def _give_fate(self, action: Action, archive: Archive, ids: IdRange) -> None:
        if action is Action.LACK:
            archive.fates.lack(ids, int(self.plan.faults.lack_asks))
            self.plan.noting = True
        else:
            archive.fates.add(_FATES[action], ids)
        self.tape.remake()

    @property
    def memory(self) -> list[str]:
        """What became of ids so far, for `remind`: nothing else of a market's past has to be kept."""
        kept = [
            f"{fate.value}:{symbol}:{ids.first}-{ids.last}"
            for symbol, archive in self.venue.named()
            for fate in Fate
            for ids in archive.fates[fate]
        ]
        resets = [
            f"{_RESET}:{symbol}:{reset.first}-{reset.less}"
            for symbol, archive in self.venue.named()
            for reset in archive.resets
        ]
        return kept + resets

    def remind(self, line: str) -> None:
        """Take over one line of the `memory` of another server of the same market."""
        word, _, what = line.partition(":")
        archive, numbers = self._parsed(what)
        if len(numbers) != _RANGE or word not in (_RESET, *Fate):
            raise UsageError(f"{line!r} is no line of a simulator's memory")
        if word == _RESET:
            archive.resets.append(Reset(*numbers))
        else:
            archive.fates.add(Fate(word), IdRange(*numbers))
        self.tape.remake()

    def _drop_all(self) -> None:
        for connection in self.connections:
            connection.drop()

    def _any_market(self) -> Archive:
        archives = list(self.archives.values())
        return archives[self.plan.pick(len(archives))]

    def _parsed(self, what: str) -> tuple[Archive, list[int]]:
        symbol, _, ids = what.partition(":")
        archive, numbers = self.venue.market(symbol), ids.split("-")
        if archive is None or len(numbers) > _RANGE or not all(text.isascii() and text.isdigit() for text in numbers):
            raise UsageError(f"{what!r} does not say which ids: SYMBOL:COUNT or SYMBOL:FIRST_ID-LAST_ID")
        return archive, [int(text) for text in numbers]


def _wall_us() -> int:
    return time.time_ns() // 1_000
