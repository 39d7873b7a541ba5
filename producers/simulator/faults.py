"""Faults on request: what may go wrong, how often, and how often each fault was done. All are off by default."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

from runtime.errors import UsageError

MAX_DELAY_MS = 10_000
MAX_CLOCK_S = 10**9
CLOCK_JUMPS_S = (90, -90, 3_600, -3_600, 31_536_000, -31_536_000)
"""By how much the server's clock jumps where `clock_s` is 0."""


class Action(StrEnum):
    """A fault that happens at one moment: now, or every so many seconds."""

    DROP = "drop"
    STALL = "stall"
    REST_429 = "rest_429"
    SHUTDOWN = "shutdown"
    WITHHOLD = "withhold"
    JUMP = "jump"
    LACK = "lack"
    SPOIL = "spoil"
    RETELL = "retell"
    RESET = "reset"
    CLOCK = "clock"
    MAINTENANCE = "maintenance"


ON_IDS = (Action.WITHHOLD, Action.JUMP, Action.LACK, Action.SPOIL, Action.RETELL)
"""The actions that give the next ids of a market another fate."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Which faults happen, and how often; 0: never. Seconds are of the wall clock, except where noted.

    Shares of the stream's messages of trades:

    - `skip`, `duplicate`: left out, or sent twice.
    - `delay`, `reorder`: delayed by up to `delay_ms`, or swapped with the next message.
    - `zero`, `absurd_time`: with price or quantity 0, or with a time at the limits of 64 bits. REST has them right.

    Shares of the connections:

    - `silent`: subscriptions are acknowledged, and then nothing of half of the symbols comes, or of all.
    - `partial`: about half of the symbols are not taken; only what the exchange's acknowledgement lists says so.

    REST:

    - `html`: this share of answers is a web page, with status 200 or 502.
    - `kline_lag_s`: klines count trades only up to so many market seconds ago.
    - `rest_lag_s`: pages of trades come from caches, which know all until a third of so many seconds ago, or until
      earlier, up to all of them.

    REST's pages of trades:

    - `short_history`: REST knows only the last so many market seconds; older trades are gone for good.
    - `truncated`, `disordered`, `repeated`, `broken_row`: shares of pages that end too early, are out of order, repeat
      rows, or have a row that cannot be read.

    Every so many seconds, give or take a half, to the next so many ids of some market:

    - `withhold_every_s`, `withhold_ids`: neither stream nor REST gives them.
    - `jump_every_s`, `jump_ids`: the exchange leaves them out; they are no trades.
    - `lack_every_s`, `lack_ids`: the stream gives them, but the next `lack_asks` pages of REST leave them out without a
      word (0: all pages).
    - `spoil_every_s`, `spoil_ids`: every source gives them with price or quantity 0.
    - `retell_every_s`, `retell_ids`: REST gives them with another price than the stream.

    Every so many seconds, give or take a half:

    - `reset_every_s`: a market's ids are reset to half of what they were.
    - `clock_every_s`: the server's clock on the messages jumps by `clock_s` market seconds (0: by 90 s, an hour or a
      year, forward or back), on one message of each connection, or on all for `clock_for_s`.
    - `drop_every_s`: all connections break, and no new one is accepted for `drop_for_s`.
    - `stall_every_s`: nothing is sent for `stall_s`.
    - `rest_429_every_s`: REST refuses for `rest_429_s`.
    - `shutdown_every_s`: the server says that it shuts down, and does so after `shutdown_grace_s`.
    - `maintenance_every_s`: all connections break, and everything is answered with 503 for `maintenance_for_s`.

    All protocols have them alike. Binance USD-M's trades are aggregates with ids of their own: the faults on ids happen
    to a market's next trades and to its next aggregates. Bybit's pages are of the newest trades only, so `truncated`
    and `short_history` change nothing there.
    """

    skip: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    zero: float = 0.0
    absurd_time: float = 0.0
    delay_ms: float = 500.0
    drop_every_s: float = 0.0
    drop_for_s: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 5.0
    rest_429_every_s: float = 0.0
    rest_429_s: float = 5.0
    shutdown_every_s: float = 0.0
    shutdown_grace_s: float = 2.0
    short_history: float = 0.0
    truncated: float = 0.0
    disordered: float = 0.0
    repeated: float = 0.0
    broken_row: float = 0.0
    withhold_every_s: float = 0.0
    withhold_ids: float = 3.0
    jump_every_s: float = 0.0
    jump_ids: float = 3.0
    lack_every_s: float = 0.0
    lack_ids: float = 3.0
    lack_asks: float = 0.0
    spoil_every_s: float = 0.0
    spoil_ids: float = 1.0
    retell_every_s: float = 0.0
    retell_ids: float = 3.0
    reset_every_s: float = 0.0
    clock_every_s: float = 0.0
    clock_s: float = 0.0
    clock_for_s: float = 0.0
    silent: float = 0.0
    partial: float = 0.0
    html: float = 0.0
    kline_lag_s: float = 0.0
    rest_lag_s: float = 0.0
    maintenance_every_s: float = 0.0
    maintenance_for_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for field in fields(self):
            least = float("-inf") if field.name == "clock_s" else 0
            if not least <= getattr(self, field.name) < float("inf"):
                raise UsageError(f"fault {field.name} is {getattr(self, field.name)}: it has to be 0 or more")
        if self._disturbed_share > 1:
            raise UsageError(f"faults {', '.join(_OF_MESSAGES)} are shares of messages: their sum exceeds 1")
        for name in _OF_PAGES:
            if getattr(self, name) > 1:
                raise UsageError(f"fault {name} is a share of pages: it cannot exceed 1")
        if self.silent + self.partial > 1:
            raise UsageError("faults silent, partial are shares of connections: their sum exceeds 1")
        if self.delay_ms > MAX_DELAY_MS:
            raise UsageError(f"fault delay_ms is {self.delay_ms}: messages are delayed by at most {MAX_DELAY_MS} ms")
        if abs(self.clock_s) > MAX_CLOCK_S:
            raise UsageError(f"fault clock_s is {self.clock_s}: a clock jumps by at most {MAX_CLOCK_S} s")

    def changed(self, values: Mapping[str, Any]) -> "Faults":
        """A copy with some faults changed, by name; values are numbers or their text. Raises `UsageError`."""
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
        """Whether single messages are changed."""
        return self._disturbed_share > 0

    @property
    def hides_trades(self) -> bool:
        """Whether REST may lack a trade that a client lacks: then it is noted what each client was given."""
        return bool(self.short_history or self.broken_row or self.lack_every_s)

    @property
    def _disturbed_share(self) -> float:
        return self.skip + self.duplicate + self.delay + self.reorder + self.zero + self.absurd_time

    def every_s(self, action: Action) -> float:
        """The mean time between two actions of a kind, in seconds; 0: never."""
        return float(getattr(self, f"{action.value}_every_s"))


_OF_MESSAGES = ("skip", "duplicate", "delay", "reorder", "zero", "absurd_time")
_OF_PAGES = ("truncated", "disordered", "repeated", "broken_row", "html")


class ClockJump(NamedTuple):
    """The server's clock is wrong by `by_ms` until the monotonic time `until_s`; None: on one message a connection."""

    number: int
    by_ms: int
    until_s: float | None


class FaultPlan:
    """The faults of one server: when each is due, and how often each was done."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.done: Counter[str] = Counter()
        self.noting = faults.hides_trades
        """Whether it is noted what each client was given; it never ends again."""
        self.clock: ClockJump | None = None
        self._random = Random(f"{seed} faults")
        self._due_s: dict[Action, float] = {}

    def change(self, values: Mapping[str, Any]) -> None:
        """Change faults; all intervals begin again."""
        self.faults = self.faults.changed(values)
        self.noting = self.noting or self.faults.hides_trades
        self._due_s.clear()

    def due(self, now_s: float) -> list[Action]:
        """The actions that are due."""
        due = []
        for action in Action:
            every_s = self.faults.every_s(action)
            if not every_s:
                continue
            due_s = self._due_s.get(action)
            if due_s is not None and now_s < due_s:
                continue
            self._due_s[action] = now_s + every_s * (0.5 + self._random.random())
            if due_s is not None:
                due.append(action)
        return due

    def jump_clock(self, now_s: float) -> None:
        """Let the clock on the messages jump, from now on."""
        faults, number = self.faults, self.done[Action.CLOCK.value]
        by_s = faults.clock_s or CLOCK_JUMPS_S[self.pick(len(CLOCK_JUMPS_S))]
        self.clock = ClockJump(number, int(by_s * 1_000), now_s + faults.clock_for_s if faults.clock_for_s else None)

    def clock_error_ms(self, now_s: float) -> int:
        """By how much the server's clock is wrong for a while; 0 where only single messages are."""
        clock = self.clock
        return clock.by_ms if clock is not None and clock.until_s is not None and now_s < clock.until_s else 0

    def pick(self, choices: int) -> int:
        """A seeded choice of 0 … choices - 1."""
        return int(self._random.random() * choices)
