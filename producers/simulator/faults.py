"""Faults on request: what may go wrong, how often, and what has been done so far. All of it is off by default."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from random import Random
from typing import Any

from producers.simulator.tape import Channel, Entry, Kind
from runtime.errors import UsageError

MAX_DELAY_MS = 10_000
MAX_HELD_FRAMES = 10_000


class Action(StrEnum):
    """A fault that happens at a moment: now, or every so many seconds."""

    DROP = "drop"
    STALL = "stall"
    REST_429 = "rest_429"
    SHUTDOWN = "shutdown"
    WITHHOLD = "withhold"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is switched on. Seconds and milliseconds are of the wall clock; 0 is never.

    `skip`, `duplicate`, `delay` and `reorder` are the shares of stream messages (of trades) that it happens to. Each
    `*_every_s` has a seeded jitter of one half.
    """

    skip: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    delay_ms: float = 500.0
    drop_every_s: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 5.0
    rest_429_every_s: float = 0.0
    rest_429_s: float = 5.0
    shutdown_every_s: float = 0.0
    shutdown_grace_s: float = 2.0
    withhold_every_s: float = 0.0
    withhold_ids: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < float("inf"):
                raise UsageError(f"fault {field.name} is {getattr(self, field.name)}: it has to be 0 or more")
        if self.skip + self.duplicate + self.delay + self.reorder > 1:
            raise UsageError("faults skip, duplicate, delay and reorder are shares of messages: their sum exceeds 1")
        if self.delay_ms > MAX_DELAY_MS:
            raise UsageError(f"fault delay_ms is {self.delay_ms}: messages are held for at most {MAX_DELAY_MS} ms")

    def changed(self, values: Mapping[str, Any]) -> "Faults":
        """These faults with some set anew, by name; values are numbers or their text."""
        names = [field.name for field in fields(self)]
        numbers = {}
        for name, value in values.items():
            if name not in names:
                raise UsageError(f"there is no fault {name!r}: choose from {', '.join(names)}")
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                raise UsageError(f"fault {name} is {value!r}: it has to be a number") from None
        return replace(self, **numbers)

    @property
    def disturbs_messages(self) -> bool:
        """Whether single messages are touched."""
        return bool(self.skip or self.duplicate or self.delay or self.reorder)

    def every_s(self, action: Action) -> float:
        """The mean seconds between two of an action; 0 is never."""
        return float(getattr(self, f"{action.value}_every_s"))


class FaultPlan:
    """The faults of one server: when each is due, and how often each was done."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.done: Counter[str] = Counter()
        self._random = Random(f"{seed} faults")
        self._due_at_s: dict[Action, float] = {}

    def change(self, values: Mapping[str, Any]) -> None:
        """Set faults anew; those that happen every so often begin a new interval."""
        self.faults = self.faults.changed(values)
        self._due_at_s.clear()

    def due(self, now_s: float) -> list[Action]:
        """The actions whose time has come."""
        found = []
        for action in Action:
            every_s = self.faults.every_s(action)
            if not every_s:
                continue
            at_s = self._due_at_s.get(action)
            if at_s is not None and now_s < at_s:
                continue
            self._due_at_s[action] = now_s + every_s * (0.5 + self._random.random())
            if at_s is not None:
                found.append(action)
        return found

    def pick(self, choices: int) -> int:
        """A seeded choice of 0 … choices - 1."""
        return int(self._random.random() * choices)


class Delivery:
    """What a connection's messages go through: some are skipped, sent twice, held back, or swapped with the next."""

    def __init__(self, plan: FaultPlan, seed: int, connection: int) -> None:
        self._plan = plan
        self._random = Random(f"{seed} connection {connection}")
        self._held: list[tuple[float, bytes]] = []
        self._swapped: dict[Channel, tuple[float, bytes]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is held back."""
        return not self._held and not self._swapped

    def through(self, entries: Iterable[Entry], now_s: float) -> list[bytes]:
        """The frames to send now: of what was held, what is due; of what is new, what no fault holds."""
        out = self._released(now_s)
        for _, channel, frame in entries:
            if channel.kind is Kind.KLINE_1S:
                out.append(frame)
                continue
            out += self._disturbed(channel, frame, now_s)
            if channel in self._swapped and out and out[-1] is frame:
                out.append(self._swapped.pop(channel)[1])
        return out

    def _disturbed(self, channel: Channel, frame: bytes, now_s: float) -> tuple[bytes, ...]:
        faults, done = self._plan.faults, self._plan.done
        chance = self._random.random()
        if (chance := chance - faults.skip) < 0:
            done["skipped"] += 1
            return ()
        if (chance := chance - faults.duplicate) < 0:
            done["duplicated"] += 1
            return (frame, frame)
        room = len(self._held) + len(self._swapped) < MAX_HELD_FRAMES
        if (chance := chance - faults.delay) < 0 and room:
            done["delayed"] += 1
            self._held.append((now_s + self._random.random() * faults.delay_ms / 1_000, frame))
            return ()
        if 0 <= chance < faults.reorder and room and channel not in self._swapped:
            done["reordered"] += 1
            self._swapped[channel] = (now_s + faults.delay_ms / 1_000, frame)
            return ()
        return (frame,)

    def _released(self, now_s: float) -> list[bytes]:
        if self.idle:
            return []
        due = [frame for due_s, frame in self._held if due_s <= now_s]
        self._held = [held for held in self._held if held[0] > now_s]
        late = [channel for channel, (due_s, _) in self._swapped.items() if due_s <= now_s]
        return [*due, *(self._swapped.pop(channel)[1] for channel in late)]
