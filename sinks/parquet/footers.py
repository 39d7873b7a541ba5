"""What the footers of cold files tell: which row groups may hold records of a market, and of which times.

A file never changes, so that a footer is read once and remembered.
"""

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import ObjectStore

MOST_FOOTERS = 50_000
"""Remembered: those that were not needed for longest are let go. A file has 50,000 records, so that is half a GB."""
_TAIL_BYTES = 1 << 15
"""A footer of our files has less; for a longer one there is a second request."""
_AT_ONCE = 8
_LENGTH_BYTES = 8
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_US = dt.timedelta(microseconds=1)


class ListedFile(NamedTuple):
    """A file of the store."""

    path: str
    size_bytes: int


class RowGroup(NamedTuple):
    """A part of a file that can be read alone. Its symbols and times are not outside of these bounds."""

    file: ListedFile
    number: int
    rows: int
    begin: int
    """Its first byte in the file."""
    end: int
    """The first byte behind it."""
    footer_bytes: int
    """Of the whole file."""
    symbols: tuple[str, str] | None
    """Least and greatest; None: not told."""
    from_us: int
    until_us: int
    """The greatest time that may be in it, and one."""

    def overlaps(self, from_us: int, until_us: int) -> bool:
        """Whether rows of times in [from_us, until_us) may be in it."""
        return self.from_us < until_us and self.until_us > from_us

    def may_hold(self, symbol: str) -> bool:
        """Whether rows of a symbol may be in it; symbols are in the order of their bytes."""
        if self.symbols is None:
            return True
        least, most = self.symbols
        return least.encode() <= symbol.encode() <= most.encode()


class Footers:
    """Row groups by file, remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], list[RowGroup]] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def of(self, store: ObjectStore, files: Sequence[ListedFile], time: str) -> list[RowGroup]:
        """The row groups of files whose times are in the column `time`."""
        groups = await asyncio.gather(*(self._of_file(store, file, time) for file in files))
        while len(self._known) > MOST_FOOTERS:
            self._known.popitem(last=False)
        return [group for of_file in groups for group in of_file]

    async def _of_file(self, store: ObjectStore, file: ListedFile, time: str) -> list[RowGroup]:
        key = (file.path, time)
        known = self._known.get(key)
        if known is None:
            async with self._slots:
                known = _groups(file, await _footer(store, file), time)
            self._known[key] = known
        self._known.move_to_end(key)
        return known


async def _footer(store: ObjectStore, file: ListedFile) -> bytes:
    """The end of a file, with the whole footer in it."""
    tail = await _tail(store, file, _TAIL_BYTES)
    needed = int.from_bytes(tail[-_LENGTH_BYTES:-4], "little") + _LENGTH_BYTES
    return tail if needed <= len(tail) else await _tail(store, file, needed)


async def _tail(store: ObjectStore, file: ListedFile, count: int) -> bytes:
    start = max(0, file.size_bytes - count)
    return bytes(await obstore.get_range_async(store, file.path, start=start, end=file.size_bytes))


def _groups(file: ListedFile, footer: bytes, time: str) -> list[RowGroup]:
    metadata = pq.read_metadata(pa.BufferReader(footer))
    return [_group(file, metadata, number, time) for number in range(metadata.num_row_groups)]


def _group(file: ListedFile, metadata: pq.FileMetaData, number: int, time: str) -> RowGroup:
    about = metadata.row_group(number)
    columns = [about.column(place) for place in range(about.num_columns)]
    bounds = {}
    for column in columns:
        if (
            column.path_in_schema in {"symbol", time}
            and column.statistics is not None
            and column.statistics.has_min_max
        ):
            bounds[column.path_in_schema] = (column.statistics.min, column.statistics.max)
    least, most = bounds.get(time, (_EPOCH, dt.datetime.max.replace(tzinfo=dt.UTC)))
    symbols = bounds.get("symbol")
    begins = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    return RowGroup(
        file,
        number,
        about.num_rows,
        min(begins),
        max(begin + column.total_compressed_size for begin, column in zip(begins, columns, strict=True)),
        metadata.serialized_size + _LENGTH_BYTES,
        None if symbols is None else (str(symbols[0]), str(symbols[1])),
        (least - _EPOCH) // _US,
        (most - _EPOCH) // _US + 1,
    )
