"""What happens to messages between the tape and a connection."""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from producers.simulator.fates import Fate
from producers.simulator.faults import FaultPlan
from producers.simulator.frames import ABSURD_TIMES, at_clock, at_time, trade_id_of, with_zero
from producers.simulator.tape import Channel, Entry, MessageKind

MAX_DELAYED_FRAMES = 10_000


class _PassingMessage(NamedTuple):
    """A message on its way; `right`: a client can read its trade."""

    channel: Channel
    frame: bytes
    right: bool = True


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
        for _, channel, frame in entries:
            message = _PassingMessage(channel, frame)
            if channel.kind is MessageKind.KLINE_1S:
                passing.append(message)
                continue
            passing += self._disturbed(message, now_s)
            if channel in self._swapped and passing and passing[-1].frame is frame:
                passing.append(self._swapped.pop(channel)[1])
        if self._plan.noting:
            for channel, frame, right in passing:
                if right and channel.kind is MessageKind.TRADE:
                    self._note(channel, frame)
        return self._clocked(passing, now_s)

    def end(self, channels: Iterable[Channel]) -> None:
        """The connection has ended: what it carried last may never have arrived."""
        for channel in channels:
            channel.archive.fates.end(self._connection)

    def _note(self, channel: Channel, frame: bytes) -> None:
        trade_id, fates = trade_id_of(frame), channel.archive.fates
        if trade_id not in fates[Fate.SPOILED]:
            fates.carry(self._connection, trade_id)

    def _clocked(self, passing: list[_PassingMessage], now_s: float) -> list[bytes]:
        clock = self._plan.clock
        if clock is None or not passing or self._clock_seen == clock.number:
            return [message.frame for message in passing]
        if clock.until_s is None or now_s >= clock.until_s:
            self._clock_seen = clock.number
        if clock.until_s is not None and now_s >= clock.until_s:
            return [message.frame for message in passing]
        wrong = len(passing) if clock.until_s else 1
        self._plan.done["clocks_wrong"] += wrong
        frames = [at_clock(message.frame, clock.by_ms * message.channel.form.unit) for message in passing[:wrong]]
        return frames + [message.frame for message in passing[wrong:]]

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
        """The trade with price or quantity 0, or else with an absurd time."""
        if zero:
            self._plan.done["zeros"] += 1
            return _PassingMessage(
                message.channel, with_zero(message.frame, price=self._random.choice((True, False))), right=False
            )
        self._plan.done["absurd_times"] += 1
        return _PassingMessage(message.channel, at_time(message.frame, self._random.choice(ABSURD_TIMES)), right=False)

    def _released(self, now_s: float) -> list[_PassingMessage]:
        due = [message for due_s, message in self._delayed if due_s <= now_s]
        if due:
            self._delayed = [delayed for delayed in self._delayed if delayed[0] > now_s]
        late = [channel for channel, (due_s, _) in self._swapped.items() if due_s <= now_s]
        return [*due, *(self._swapped.pop(channel)[1] for channel in late)]
