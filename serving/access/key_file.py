"""The file of the keys: changed by ``candlewick keys``, read by ``candlewick serve`` again whenever it changes.

A file, because keys have to be there when Redis is not, must not vanish with a cache, and can come from wherever files
come from (a secret of Kubernetes, say). It holds hashes only, but who may write it makes keys: its mode is 0600.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from runtime.errors import CandlewickError, UsageError
from runtime.settings import Settings, variable
from runtime.telemetry import logger
from serving.access.keys import KeyRing, decode_keys, encode_keys

LOOK_S = 1.0
"""How often a server looks at the file: a revoked key is refused after this time at the latest."""
_LOCK_S = 10.0


def keys_path(settings: Settings) -> Path:
    """Where the keys are: the setting, else a file in the data folder."""
    return settings.keys or settings.home / "keys.json"


def read_keys(path: Path) -> KeyRing:
    """The keys in the file; none where there is no file. Raises `UsageError` where it cannot be read."""
    try:
        return decode_keys(path.read_bytes())
    except FileNotFoundError:
        return KeyRing()
    except OSError as error:
        raise UsageError(f"cannot read the keys in {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no file of keys ({error}): check {variable('keys')}") from error


def change_keys(path: Path, change: Callable[[KeyRing], KeyRing]) -> None:
    """Replace the file by one with the changed keys, whole or not at all; one such change at a time.

    Raises what `change` raises, `UsageError` where the file cannot be read or written, and `CandlewickError` where
    another change does not end.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_LOCK_S, fallback_to_soft=False):
            _replace(path, encode_keys(change(read_keys(path))))
    except Timeout:
        raise CandlewickError(f"another process is changing {path}: try again") from None
    except OSError as error:
        raise UsageError(f"cannot write the keys to {path}: {error.strerror}") from error


class WatchedKeys:
    """The keys as they stand in the file, at most `LOOK_S` ago while `watching` runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = _mark(path)
        self._log = logger("serve")
        self.ring = read_keys(path)

    async def watching(self) -> None:
        """Look at the file until cancelled. While it cannot be read, the keys that were read last count."""
        while True:
            await asyncio.sleep(LOOK_S)
            mark = _mark(self._path)
            if mark == self._mark:
                continue
            self._mark = mark
            try:
                self.ring = await asyncio.to_thread(read_keys, self._path)
            except UsageError as error:
                self._log.error("the keys that were read last stay in force", reason=str(error))
            else:
                self._log.info("read the keys again", keys=len(self.ring.keys))


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes with the file; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
