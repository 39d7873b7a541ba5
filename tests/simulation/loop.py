"""An event loop without a clock and without I/O: a seed decides what runs next, and time jumps to the next timer.

Several processes share the loop, each with a queue of its own. Within a process the order is asyncio's; between them
the seed decides. A process can be frozen, or end between any two steps, with nothing of it run any more.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

STEP_S = 20e-6
"""What a step costs: a loop that waits for nothing still moves the time."""
BEGIN_S = 1_000.0


class StuckError(AssertionError):
    """Nothing can run, or the run does not end."""


class Process:
    """One simulated operating-system process: its callbacks that are ready, and what befell it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.frozen = False
        self.dead = False
        self.steps = 0
        self.dies_at_step: int | None = None

    def context(self) -> Context:
        """In which its tasks run; theirs inherit it."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs one callback at a time, of a process that the seed chooses."""

    def __init__(self, rng: Random, max_steps: int) -> None:
        super().__init__()
        self._rng = rng
        self._max_steps = max_steps
        self._now_s = BEGIN_S
        self._runnable: list[Process] = []
        self._tasks: list[asyncio.Task[Any]] = []  # else a dead process's coroutines would be closed, and so run on
        self.processes: list[Process] = []
        self.network = self.process("network")
        self.steps = 0
        self.on_death: Callable[[Process], None] = lambda _process: None
        self._failures: list[BaseException] = []
        self.set_exception_handler(self._note_failure)

    def process(self, name: str) -> Process:
        self.processes.append(Process(name))
        return self.processes[-1]

    def time(self) -> float:
        return self._now_s

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    call_soon_threadsafe = call_soon  # there are no threads: only finalizers of generators come this way

    def kill(self, process: Process) -> None:
        """End a process: nothing of it runs any more."""
        process.dead = True
        self._forget(process)
        self.on_death(process)

    def freeze(self, process: Process) -> None:
        """Schedule nothing of a process until it is thawed; what becomes ready waits."""
        process.frozen = True
        self._forget(process)

    def thaw(self, process: Process) -> None:
        process.frozen = False
        if process.ready and not process.dead and process not in self._runnable:
            self._runnable.append(process)

    def bury(self) -> None:
        """End every coroutine that is left; the run is judged by then."""
        self._max_steps = self.steps + 100_000
        for process in self.processes:
            process.dead, process.dies_at_step = False, None
            self.thaw(process)
        for _ in range(10):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.wait(left, timeout=100))
        self.close()

    def _enqueue(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(PROCESS) or self.network
        if not process.ready and not process.frozen and not process.dead:
            self._runnable.append(process)
        process.ready.append(handle)

    def _forget(self, process: Process) -> None:
        if process in self._runnable:
            self._runnable.remove(process)

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps > self._max_steps:
            raise StuckError(f"no end after {self._max_steps} steps")
        self._now_s += STEP_S
        scheduled = self._scheduled
        while scheduled and (scheduled[0]._when <= self._now_s or not self._runnable):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                self._now_s = max(self._now_s, timer._when)
                self._enqueue(timer)
        if self._failures:
            raise self._failures.pop()
        if not self._runnable:
            raise StuckError("everybody waits for somebody")
        self._step(self._runnable[self._rng.randrange(len(self._runnable)) if len(self._runnable) > 1 else 0])

    def _step(self, process: Process) -> None:
        if process.steps == process.dies_at_step:
            self.kill(process)
            return
        process.steps += 1
        handle = process.ready.popleft()
        if not process.ready:
            self._runnable.remove(process)
        if not handle._cancelled:
            handle._run()

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that fails is a fault of the simulation; a failure that no task asks for is none."""
        if "handle" in context:
            self._failures.append(context["exception"])

    def _process_events(self, event_list: Any) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        return
