"""What happens to messages between the tape and a connection."""

from collections.abc import Iterable
from random import Random
from typing import Any, NamedTuple

from msgspec import structs

from producers.simulator.fates import Fate
from producers.simulator.faults import FaultPlan
from producers.simulator.tape import Channel, ChannelKind, Entry

MAX_DELAYED_FRAMES = 10_000
ABSURD_TIMES_MS = (2**63 - 1, 2**63 - 1_000, (2**63 - 1) // 1_000, 0, -1, -(2**63))
"""Times of trades at the limits of 64 bits, some as if microseconds were milliseconds."""


class _PassingMessage(NamedTuple):
    """A message on its way; `wrong`: the index of the trade in it that a client cannot read."""

    clock_ms: int
    channel: Channel
    frame: bytes
    content: Any
    wrong: int = -1


class Delivery:
    """Applies faults to a connection's messages: some are skipped, sent twice, delayed, swapped or changed.

    Where it matters (`FaultPlan.noting`) it is noted which trades the connection carried.
    """

    def __init__(self, plan: FaultPlan, seed: int, connection: int) -> None:
        self._plan = plan
        self._random = Random(f"{seed} connection {connection}")
        self._connection = connection
        self._delayed: list[tuple[float, _PassingMessage]] = []
        self._swapped: dict[Channel, tuple[float, _PassingMessage]] = {}
        self._clock_seen = plan.clock.number if plan.clock and plan.clock.until_s is None else 0

    @property
    def idle(self) -> bool:
        """Whether messages pass as they are."""
        plan = self._plan
        return not (self._delayed or self._swapped or plan.noting or plan.clock or plan.faults.disturbs_messages)

    def through(self, entries: Iterable[Entry], now_s: float) -> list[bytes]:
        """The frames to send now: delayed ones that are due, and new ones that no fault delays."""
        passing = self._released(now_s)
        for entry in entries:
            message, channel = _PassingMessage(*entry), entry[1]
            if channel.kind is ChannelKind.CLOCK:
                passing.append(message)
                continue
            passing += self._disturbed(message, now_s)
            if channel in self._swapped and passing and passing[-1].frame is message.frame:
                passing.append(self._swapped.pop(channel)[1])
        if self._plan.noting:
            for message in passing:
                if message.channel.kind is ChannelKind.TRADES:
                    self._note(message)
        return self._clocked(passing, now_s)

    def end(self, channels: Iterable[Channel]) -> None:
        """The connection has ended: what it carried last may never have arrived."""
        for channel in channels:
            channel.archive.fates.end(self._connection)

    def _note(self, message: _PassingMessage) -> None:
        fates = message.channel.archive.fates
        for index, match in enumerate(message.content):
            if index != message.wrong and match.trade_id not in fates[Fate.SPOILED]:
                fates.carry(self._connection, match.trade_id)

    def _clocked(self, passing: list[_PassingMessage], now_s: float) -> list[bytes]:
        clock = self._plan.clock
        frames = [message.frame for message in passing]
        if clock is None or self._clock_seen == clock.number:
            return frames
        if clock.until_s is not None and now_s >= clock.until_s:
            self._clock_seen = clock.number
            return frames
        telling = [index for index, message in enumerate(passing) if message.channel.tells_clock]
        if clock.until_s is None and telling:
            self._clock_seen = clock.number
            telling = telling[:1]
        self._plan.done["clocks_wrong"] += len(telling)
        for index in telling:
            message = passing[index]
            frames[index] = message.channel.frame(message.content, message.clock_ms + clock.by_ms)
        return frames

    def _disturbed(self, message: _PassingMessage, now_s: float) -> tuple[_PassingMessage, ...]:
        faults, done = self._plan.faults, self._plan.done
        chance = self._random.random()
        if (chance := chance - faults.skip) < 0:
            done["skipped"] += 1
            return ()
        if (chance := chance - faults.duplicate) < 0:
            done["duplicated"] += 1
            return (message, message)
        if (chance := chance - faults.zero - faults.absurd_time) < 0:
            return (self._wrong(message, zero=chance < -faults.absurd_time),)
        room = len(self._delayed) + len(self._swapped) < MAX_DELAYED_FRAMES
        if (chance := chance - faults.delay) < 0 and room:
            done["delayed"] += 1
            self._delayed.append((now_s + self._random.random() * faults.delay_ms / 1_000, message))
            return ()
        if 0 <= chance < faults.reorder and room and message.channel not in self._swapped:
            done["reordered"] += 1
            self._swapped[message.channel] = (now_s + faults.delay_ms / 1_000, message)
            return ()
        return (message,)

    def _wrong(self, message: _PassingMessage, *, zero: bool) -> _PassingMessage:
        """The message with price or quantity 0 in a trade, or else with an absurd time."""
        clock_ms, channel, _, rows = message[:4]
        index = self._random.randrange(len(rows)) if len(rows) > 1 else 0
        changes: dict[str, int]
        if zero:
            self._plan.done["zeros"] += 1
            changes = {"ticks": 0} if self._random.choice((True, False)) else {"lots": 0}
        else:
            self._plan.done["absurd_times"] += 1
            changes = {"time_ms": self._random.choice(ABSURD_TIMES_MS)}
        wrong = (*rows[:index], structs.replace(rows[index], **changes), *rows[index + 1 :])
        return _PassingMessage(clock_ms, channel, channel.frame(wrong, clock_ms), wrong, index)

    def _released(self, now_s: float) -> list[_PassingMessage]:
        due = [message for due_s, message in self._delayed if due_s <= now_s]
        if due:
            self._delayed = [delayed for delayed in self._delayed if delayed[0] > now_s]
        late = [channel for channel, (due_s, _) in self._swapped.items() if due_s <= now_s]
        return [*due, *(self._swapped.pop(channel)[1] for channel in late)]
