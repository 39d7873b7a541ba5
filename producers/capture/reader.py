"""Reads captures: files of ours and of other recorders, plain or zstd, as far as they go."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import zstandard

from producers.capture.lines import (
    CapturedLine,
    CaptureHeader,
    CutOff,
    Line,
    ReceivedFrame,
    is_whole_frame,
    parse_line,
)
from producers.capture.names import CaptureName
from runtime.errors import UsageError

BLOCK_BYTES = 1024 * 1024
PACKED_BYTES = 1024
"""So much of a zstd file is unpacked at a time: hostile bytes grow to 32 MB at most."""
MAX_LINE_BYTES = 16 * 1024 * 1024
"""No frame of an exchange is nearly as long: a file with a longer line is no capture."""
_ZSTD = b"\x28\xb5\x2f\xfd"


def capture_files(paths: Iterable[Path]) -> list[Path]:
    """The files of a capture, out of files and folders; `UsageError` where there is none."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        elif path.is_file():
            files.append(path)
        else:
            raise UsageError(f"{path} is neither a file nor a folder")
    if not files:
        raise UsageError("there is no capture: name a folder that candlewick produce --record wrote into")
    return files


def read_captures(files: Sequence[Path]) -> Iterator[CapturedLine]:
    """The lines of all files. Those of one connection come in order, those of several by their time.

    Raises `UsageError` where a file cannot be opened, or is no capture.
    """
    connections = groupby(sorted(files, key=_place), key=lambda path: _place(path)[:2])
    streams = [_with_time(list(of_connection)) for _, of_connection in connections]
    for _, _, captured in heapq.merge(*(_numbered(number, stream) for number, stream in enumerate(streams))):
        yield captured


def _place(path: Path) -> tuple[str, int, int, str]:
    """Exchange and connection, then its order; a file of another recorder is a connection of its own."""
    name = CaptureName.parse(path.name)
    return (path.as_posix(), -1, 0, "") if name is None else (name.exchange, name.connection, name.time_us, path.name)


def _numbered(
    number: int, stream: Iterator[tuple[int, CapturedLine]]
) -> Iterator[tuple[int, tuple[int, int], CapturedLine]]:
    """With a number that is different for each line: so lines themselves are never compared."""
    for index, (time_us, captured) in enumerate(stream):
        yield time_us, (number, index), captured


def _with_time(files: Sequence[Path]) -> Iterator[tuple[int, CapturedLine]]:
    """The lines of a connection, each with the greatest time so far: so merging keeps their order."""
    header: CaptureHeader | None = None
    time_us = 0
    for path in files:
        for line in read_lines(path):
            if isinstance(line, CaptureHeader):
                header = line
            elif isinstance(line, ReceivedFrame):
                time_us = max(time_us, line.time_us)
            yield time_us, CapturedLine(line, header)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of one file, as far as it goes; then, if it was cut off, a `CutOff`."""
    rest = b""
    for block in _blocks(path):
        if isinstance(block, CutOff):
            last = "; its last line is not whole" if rest else ""
            yield block._replace(reason=f"{block.reason}{last}")
            return
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            raise UsageError(f"{path} has a line of more than {MAX_LINE_BYTES} bytes: it is no capture")
        for text in lines:
            if (line := parse_line(text)) is not None:
                yield line
    if rest:
        line = parse_line(rest)
        if line is not None and is_whole_frame(line):
            yield line
        else:
            yield CutOff(str(path), "its last line is not whole")


def _blocks(path: Path) -> Iterator[bytes | CutOff]:
    try:
        with path.open("rb") as file:
            if file.read(len(_ZSTD)) != _ZSTD:
                file.seek(0)
                while block := file.read(BLOCK_BYTES):
                    yield block
            else:
                file.seek(0)
                yield from _unpacked(path, file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _unpacked(path: Path, file: BinaryIO) -> Iterator[bytes | CutOff]:
    """The content of zstd frames, one behind the other."""
    packed = file.read(PACKED_BYTES)
    while packed:
        unpacking = zstandard.ZstdDecompressor().decompressobj()
        while packed and not unpacking.eof:
            try:
                if block := unpacking.decompress(packed):
                    yield block
            except zstandard.ZstdError as error:
                yield CutOff(str(path), f"it is damaged before byte {file.tell()}: {error}")
                return
            packed = unpacking.unused_data if unpacking.eof else b""
            packed = packed or file.read(PACKED_BYTES)
        if not unpacking.eof:
            yield CutOff(str(path), "it was not closed")
            return
