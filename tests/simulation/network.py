"""The network between clients and brokers: a request can be late or lost, or its answer can be lost."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, auto
from random import Random
from typing import Any, TypeVar

from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from loop import PROCESS, Process, SimulatedLoop

Answer = TypeVar("Answer")

REQUEST_TIMEOUT_S = 10.0


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = auto()
    LOST = auto()
    """Never done; the client hears that the connection broke."""
    UNANSWERED = auto()
    """Done, and the answer is lost."""


@dataclass(kw_only=True)
class Faults:
    """How often what happens, of one request each; all of it ends when the faults do."""

    lost: float = 0.0
    unanswered: float = 0.0
    slow: float = 0.0
    """Requests that take seconds."""
    failed_append: float = 0.0
    """Batches of a producer that are refused while the rest goes on."""

    frozen: float = 0.0
    """Processes that stand still as they send a request, just before it or just after."""
    dead: float = 0.0
    """Processes that end there."""

    @classmethod
    def drawn(cls, rng: Random) -> "Faults":
        """Some kinds not at all, others now and then or often: runs should differ."""
        drawn = cls(**{field.name: rng.choice((0.0, 0.0, 0.005, 0.02, 0.08)) for field in fields(cls)})
        drawn.frozen, drawn.dead = drawn.frozen / 4, drawn.dead / 4
        return drawn


class Network:
    """Carries requests. Once sent, a request goes its way, whatever becomes of the process that sent it."""

    def __init__(self, loop: SimulatedLoop, rng: Random, faults: Faults) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self.over = False
        """End the network, once the run is judged: no answer comes any more."""
        self.freeze: Callable[[Process], None] = loop.freeze
        self._context = loop.network.context()

    async def ask(self, request: Callable[[], Answer], *, fate: Fate | None = None) -> Answer:
        """Send a request, and wait for its answer."""
        process = PROCESS.get()
        if process is not None and process is not self.loop.network:
            await self._befall(process)
        return await self.send(request, fate=fate)

    async def _befall(self, process: Process) -> None:
        drawn = self.rng.random()
        if drawn < self.faults.dead:
            answer = None if self.rng.random() < 0.5 else self.loop.create_future()
            self.loop.kill(process)
            if answer is not None:
                await answer  # it ends before the request goes out; else that is the last it does
        elif drawn < self.faults.dead + self.faults.frozen:
            self.freeze(process)
            if self.rng.random() < 0.5:
                await asyncio.sleep(0)  # sends it when it wakes up

    def send(
        self, request: Callable[[], Answer], *, fate: Fate | None = None, delay_s: float | None = None
    ) -> "asyncio.Future[Answer]":
        """Send a request; the future ends with its answer. Two requests may overtake each other."""
        if self.over:
            raise KafkaConnectionError("the run is over")
        answer: asyncio.Future[Answer] = self.loop.create_future()
        fate = fate or self.fate()
        self.later(self.delay_s() if delay_s is None else delay_s, self._arrive, request, answer, fate)
        return answer

    def fate(self) -> Fate:
        drawn = self.rng.random()
        if drawn < self.faults.lost:
            return Fate.LOST
        return Fate.UNANSWERED if drawn < self.faults.lost + self.faults.unanswered else Fate.ANSWERED

    def delay_s(self) -> float:
        if self.rng.random() < self.faults.slow:
            return self.rng.uniform(0.5, 20.0)
        return self.rng.uniform(0.0005, 0.006)

    def later(self, delay_s: float, callback: Callable[..., Any], *arguments: Any) -> None:
        """Do something in the cluster after a while."""
        self.loop.call_later(delay_s, callback, *arguments, context=self._context)

    def _arrive(self, request: Callable[[], Any], answer: "asyncio.Future[Any]", fate: Fate) -> None:
        result, error = None, None
        if fate is not Fate.LOST:
            try:
                result = request()
            except Exception as refusal:  # noqa: BLE001  # goes back to who asked
                error = refusal
        back_s = self.delay_s()
        if fate is not Fate.ANSWERED:
            error = self.rng.choice((KafkaConnectionError, RequestTimedOutError))("the simulated network failed")
            back_s = self.rng.choice((back_s, REQUEST_TIMEOUT_S))
        self.later(back_s, _settle, answer, result, error)


def _settle(answer: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if answer.cancelled():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
