"""Parts of a cold file, got and opened as if they were the whole file."""

from collections.abc import Sequence
from typing import NamedTuple

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import ObjectStore

from sinks.parquet.footers import ListedFile, RowGroup

SMALL_BYTES = 1 << 20
"""Files up to this size are got whole: it is one request either way."""


class FilePart(NamedTuple):
    """Bytes of a file, and where they begin in it."""

    begin: int
    content: bytes


class FileParts(NamedTuple):
    """Of a file of `size_bytes`; the last part is its end, with the footer."""

    size_bytes: int
    parts: list[FilePart]

    def opened(self) -> pq.ParquetFile:
        """The file, of which only what is in the parts can be read."""
        last = self.parts[-1]
        if last.begin == 0:
            return pq.ParquetFile(pa.BufferReader(last.content))
        metadata = pq.read_metadata(pa.BufferReader(last.content))
        # Not buffered before: it would read over what lies between two parts.
        return pq.ParquetFile(pa.PythonFile(_Sparse(self), mode="r"), metadata=metadata, pre_buffer=False)


async def get_parts(store: ObjectStore, file: ListedFile, groups: Sequence[RowGroup]) -> FileParts:
    """The row groups and the footer of a file; a small file whole."""
    if file.size_bytes <= SMALL_BYTES:
        whole = bytes(await (await obstore.get_async(store, file.path)).bytes_async())
        return FileParts(file.size_bytes, [FilePart(0, whole)])
    bounds = [(group.begin, group.end) for group in groups]
    bounds.append((file.size_bytes - groups[0].footer_bytes, file.size_bytes))
    starts, ends = [begin for begin, _ in bounds], [end for _, end in bounds]
    got = await obstore.get_ranges_async(store, file.path, starts=starts, ends=ends)
    return FileParts(file.size_bytes, [FilePart(*part) for part in zip(starts, map(bytes, got), strict=True)])


class _Sparse:
    """A file for Arrow to read."""

    closed = False

    def __init__(self, of_file: FileParts) -> None:
        self._file = of_file
        self._place = 0

    def read(self, count: int) -> bytes:
        """Raises `OSError` where the bytes are in no part."""
        for begin, content in self._file.parts:
            start = self._place - begin
            if start >= 0 and start + count <= len(content):
                self._place += count
                return content[start : start + count]
        raise OSError(f"{count} bytes at {self._place} were not got")

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._file.size_bytes)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Nothing is open."""
