"""Keeps the raw frames of a feed's connections in files, as they come.

The feed adds lines to a queue, which costs it less than a microsecond for a frame; a thread compresses and writes them.
So nothing here makes the feed wait: what cannot be written is counted, and told once.

- Each connection has its own files, so that what came on it stands in order. A file is one zstd frame, flushed twice a
  second: what a killed process leaves can be read up to there.
- All files in the folder that have our names, those of earlier runs too, take at most `limit_bytes`: then the oldest
  goes. A file ends at `FILE_BYTES`, or sooner, so that the open ones take at most a quarter of the limit.
- If the disk is full or the folder is gone, frames are counted as not recorded, and files are tried again every
  `TRY_AGAIN_S`. So are frames while `MAX_WAITING_BYTES` wait for a disk that is too slow.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from producers.capture.lines import (
    CaptureHeader,
    EndedConnection,
    comment_line,
    opened_line,
    received_line,
    sent_line,
)
from producers.capture.names import CaptureName
from producers.capture.written_file import WrittenFile
from runtime.errors import UsageError
from runtime.telemetry import VERSION, Meter, logger

STAGE = "produce"
FILE_BYTES = 64 * 1024 * 1024
MAX_WAITING_BYTES = 64 * 1024 * 1024
WRITE_EVERY_S = 0.5
TRY_AGAIN_S = 10.0
_OPEN_SHARE = 4
"""Open files take at most one part in so many of the limit."""


@dataclass(frozen=True, kw_only=True)
class CaptureSettings:
    """Where captures go, and how many bytes of them are kept."""

    folder: Path
    limit_bytes: int


class RecordedConnection:
    """What one connection adds; call it from one thread. `symbols` and `contracts` are those of `CaptureHeader`."""

    def __init__(
        self, recorder: "Recorder", number: int, symbols: Mapping[str, str], contracts: Mapping[str, Decimal]
    ) -> None:
        self.number = number
        self.symbols = dict(symbols)
        self.contracts = dict(contracts)
        self.waiting: deque[bytes] = deque()
        self.file: WrittenFile | None = None
        self._recorder = recorder
        self._url = "-"

    def opened(self, url: str, time_us: int) -> None:
        """A connection was made to `url`."""
        self._url = url
        self._add(opened_line(time_us, url))

    def received(self, frame: bytes, time_us: int) -> None:
        """A frame came."""
        self._add(received_line(time_us, frame))

    def sent(self, frame: bytes, time_us: int) -> None:
        """We sent a frame."""
        self._add(sent_line(time_us, self._url, frame))

    def ended(self, reason: str, time_us: int) -> None:
        """The connection ended, or could not be made."""
        self._add(comment_line(EndedConnection(ended_us=time_us, reason=reason)))

    def _add(self, line: bytes) -> None:
        recorder = self._recorder
        if recorder.added_bytes - recorder.taken_bytes > MAX_WAITING_BYTES:
            recorder.not_taken += 1
            return
        recorder.added_bytes += len(line)
        self.waiting.append(line)


class Recorder:
    """Writes what the connections of one exchange add, in a thread of its own, until it is closed."""

    def __init__(self, settings: CaptureSettings, exchange: str, meter: Meter) -> None:
        self.added_bytes = 0
        """Only the feed raises it, and only the thread `taken_bytes`: so no lock is needed."""
        self.taken_bytes = 0
        self.not_taken = 0
        """Lines that came while too much was waiting."""
        self._not_written = 0
        self._folder = settings.folder
        self._exchange = exchange
        self._limit_bytes = settings.limit_bytes
        self._meter = meter
        self._connections: dict[int, RecordedConnection] = {}
        self._replaced: deque[RecordedConnection] = deque()
        self._kept_bytes = _kept_bytes(_captures(settings.folder))
        self._fails = False
        self._try_again_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, name="recorder", daemon=True)
        self._thread.start()

    def connection(
        self, number: int, symbols: Mapping[str, str], contracts: Mapping[str, Decimal] = MappingProxyType({})
    ) -> RecordedConnection:
        """A connection that takes the place of an earlier one with its number."""
        earlier = self._connections.get(number)
        connection = self._connections[number] = RecordedConnection(self, number, symbols, contracts)
        if earlier is not None:
            self._replaced.append(earlier)
        return connection

    @property
    def not_recorded(self) -> int:
        """Lines that are in no file: the disk was full, or too slow."""
        return self.not_taken + self._not_written

    def close(self) -> None:
        """Write what is waiting, and end the files."""
        self._stop.set()
        self._thread.join()

    def _write_until_stopped(self) -> None:
        while not self._stop.wait(WRITE_EVERY_S):
            self._write()
        self._write()
        for connection in self._connections.values():
            self._end_file(connection)
        self._drop_oldest()

    def _write(self) -> None:
        replaced = [self._replaced.popleft() for _ in range(len(self._replaced))]
        connections = [*replaced, *self._connections.copy().values()]
        file_bytes = min(FILE_BYTES, self._limit_bytes // (_OPEN_SHARE * max(1, len(connections))))
        for connection in connections:
            waiting = connection.waiting
            lines = [waiting.popleft() for _ in range(len(waiting))]
            if lines:
                self._write_lines(connection, lines, file_bytes)
        for connection in replaced:
            self._end_file(connection)
        self._drop_oldest()
        self._meter.fields["not_recorded"] = self.not_recorded

    def _write_lines(self, connection: RecordedConnection, lines: list[bytes], file_bytes: int) -> None:
        content = b"".join(lines)
        self.taken_bytes += len(content)
        if self._fails and time.monotonic() < self._try_again_s:
            self._not_written += len(lines)
            return
        try:
            if connection.file is None:
                connection.file = self._begin_file(connection)
            self._kept_bytes += connection.file.write(content)
        except OSError as error:
            self._not_written += len(lines)
            self._failed(error)
            self._end_file(connection)
            return
        if self._fails:
            self._fails = False
            logger(STAGE).warning("frames are recorded again", folder=str(self._folder), not_recorded=self.not_recorded)
        if connection.file.size >= file_bytes:
            self._end_file(connection)

    def _begin_file(self, connection: RecordedConnection) -> WrittenFile:
        header = CaptureHeader(
            exchange=self._exchange,
            connection=connection.number,
            symbols=connection.symbols,
            contracts=connection.contracts,
            version=VERSION,
        )
        began_us = time.time_ns() // 1000
        while (path := self._folder / str(CaptureName(self._exchange, connection.number, began_us))).exists():
            began_us += 1  # the clock was set back, or another process records the same
        file = WrittenFile(path)
        file.write(comment_line(header))
        self._kept_bytes = _kept_bytes(_captures(self._folder))  # another process may write into the folder too
        return file

    def _end_file(self, connection: RecordedConnection) -> None:
        file, connection.file = connection.file, None
        if file is not None:
            try:
                self._kept_bytes += file.close()
            except OSError as error:
                self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._try_again_s = time.monotonic() + TRY_AGAIN_S
        if not self._fails:
            self._fails = True
            logger(STAGE).error(
                "frames are not recorded, the feed goes on",
                folder=str(self._folder),
                error=error.strerror or str(error),
                trying_again_every_s=TRY_AGAIN_S,
            )

    def _drop_oldest(self) -> None:
        """Remove the oldest files until the limit holds; what is open stays."""
        if self._kept_bytes <= self._limit_bytes:
            return
        is_open = {connection.file.path for connection in self._connections.copy().values() if connection.file}
        try:
            captures = _captures(self._folder)
            self._kept_bytes = _kept_bytes(captures)
            for path in captures:
                if self._kept_bytes <= self._limit_bytes:
                    return
                if path not in is_open and path.exists():
                    self._kept_bytes -= path.stat().st_size
                    path.unlink(missing_ok=True)  # another process may have removed it
        except OSError as error:
            self._failed(error)


@asynccontextmanager
async def recording(settings: CaptureSettings | None, exchange: str, meter: Meter) -> AsyncIterator[Recorder | None]:
    """A recorder for as long as the block runs; None: nothing is recorded. `UsageError`: the folder cannot be used."""
    if settings is None:
        yield None
        return
    folder = settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        recorder = Recorder(settings, exchange, meter)
    except OSError as error:
        raise UsageError(f"--record {folder} cannot be used: {error.strerror or error}") from error
    try:
        yield recorder
    finally:
        await asyncio.to_thread(recorder.close)
        logger(STAGE).info("recorded", folder=str(folder), not_recorded=recorder.not_recorded)


def _captures(folder: Path) -> list[Path]:
    """The capture files of a folder, the oldest first."""
    named = [(name.time_us, path) for path in folder.iterdir() if (name := CaptureName.parse(path.name)) is not None]
    return [path for _, path in sorted(named)]


def _kept_bytes(captures: list[Path]) -> int:
    return sum(path.stat().st_size for path in captures if path.exists())
