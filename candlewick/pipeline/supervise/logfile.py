"""A log file that never grows beyond its limit: one older file is kept beside it."""

from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 8 * 1024 * 1024


class LogFile:
    """Appends lines; at `max_bytes` the file becomes ``<name>.1`` (in place of the last one) and a new one begins."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._bytes = self._file.tell()

    def write(self, line: bytes) -> None:
        """Append one line, given without its end."""
        if self._bytes >= self._max_bytes:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file, self._bytes = self._path.open("ab", buffering=0), 0
        self._bytes += self._file.write(line + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
