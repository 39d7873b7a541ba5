"""A log file that never grows beyond its limit: one older file is kept beside it."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024


class LogFile:
    """Appends lines; at `max_bytes` the file becomes ``<name>.1`` (in place of the last one) and a new one begins."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(path, maxBytes=max_bytes, backupCount=1, encoding="utf-8", errors="replace")

    def write(self, line: bytes) -> None:
        """Append one line, given without its end."""
        text = line.decode(errors="replace")
        self._handler.emit(logging.LogRecord("", logging.INFO, "", 0, text, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
