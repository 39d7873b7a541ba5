"""A file that is compressed by zstd as it grows; what was written can be read even if it is never closed."""

from pathlib import Path

import zstandard

LEVEL = 3


class WrittenFile:
    """A new file; nothing is buffered here, so that an error is told by the call that it concerns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        """Compressed bytes in the file."""
        self._compress = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self._file = path.open("xb", buffering=0)

    def write(self, content: bytes) -> int:
        """Write `content` and flush it; returns by how many bytes the file grew. Raises `OSError`."""
        packed = self._compress.compress(content) + self._compress.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return self._append(packed)

    def close(self) -> int:
        """End the file; returns by how many bytes it grew. Raises `OSError`."""
        with self._file:
            return self._append(self._compress.flush())

    def _append(self, packed: bytes) -> int:
        left = memoryview(packed)
        while left:
            count = self._file.write(left) or 0
            self.size += count
            left = left[count:]
        return len(packed)
