"""Shows a board for as long as a run lasts: as a live view on a terminal, or as lines."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rich.console import Console
from rich.live import Live

from candlewick.pipeline.view.board import Board, Tone
from candlewick.pipeline.view.line import INTERVAL_S, summary_line
from candlewick.pipeline.view.screen import Screen, Surroundings

_REFRESH_S = 0.5


def write_line(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Show:
    """Where a run tells what it does. `say` is for what a person must hear; figures are read from the board."""

    def __init__(self, board: Board, surroundings: Surroundings, *, as_lines: bool) -> None:
        self.board = board
        self.surroundings = surroundings
        self._as_lines = as_lines
        self.started_at_s = time.monotonic()

    def say(self, text: str, tone: Tone = Tone.CALM) -> None:
        """A sentence: on the board, and where there is no live view as a line of its own."""
        self.board.say(time.time(), text, tone)
        if self._as_lines:
            write_line(text)

    def elapsed_s(self) -> float:
        """Seconds since the show began."""
        return time.monotonic() - self.started_at_s


@asynccontextmanager
async def showing(show: Show, *, live: bool) -> AsyncIterator[None]:
    """Show the board until the block ends; then the terminal is as it was before."""
    show.started_at_s = time.monotonic()
    if not live:
        async with _repeating(INTERVAL_S, lambda: write_line(summary_line(show.board, show.elapsed_s(), time.time()))):
            yield
        return
    screen = Screen(show.board, show.surroundings, elapsed_s=show.elapsed_s)
    with Live(screen, console=Console(), screen=True, auto_refresh=False) as view:
        async with _repeating(_REFRESH_S, view.refresh):
            yield


@asynccontextmanager
async def _repeating(every_s: float, act: Callable[[], None]) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await asyncio.sleep(every_s)
            act()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
