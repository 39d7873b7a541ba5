"""Files of lines, plain or packed, read in chunks: memory does not depend on the size of a file."""

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from runtime.errors import UsageError

CHUNK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_EXPANSION = 200
"""A packed file of trades grows about ten times when unpacked; one that grows more than this is an attack."""
_BOM = b"\xef\xbb\xbf"
_GZIP = ".gz"
_ZIP = ".zip"
_LINES = frozenset({".csv", ".jsonl", ".ndjson"})
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What operating systems add to a zip, besides files whose name begins with a dot."""


class Chunk(NamedTuple):
    """Lines that follow each other, without line ends; `first` is the number of the first one, from 1."""

    first: int
    lines: list[bytes]


def inner_name(path: Path) -> str:
    """The name of the file that is packed in `path`, or of `path` itself; `UsageError` if `path` cannot be read."""
    with _reading(path), _opened(path) as (_, name):
        return name


def read_lines(path: Path) -> Iterator[Chunk]:
    """The lines of `path`; `UsageError` if it cannot be read to its end, or is no file of trades."""
    number, rest = 1, b""
    for block in _blocks(path):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            raise UsageError(
                f"{path} line {number + len(lines)} is longer than {MAX_LINE_BYTES} bytes: not a file of trades"
            )
        if lines:
            yield _chunk(number, lines)
            number += len(lines)
    if rest:
        yield _chunk(number, [rest])


def _blocks(path: Path) -> Iterator[bytes]:
    with _reading(path), _opened(path) as (file, _):
        most = max(CHUNK_BYTES, MAX_EXPANSION * path.stat().st_size)
        total = 0
        while block := file.read(CHUNK_BYTES):
            total += len(block)
            if total > most:
                raise UsageError(f"{path} expands more than {MAX_EXPANSION} times: not a file of trades")
            yield block


def _chunk(first: int, lines: list[bytes]) -> Chunk:
    if first == 1:
        lines[0] = lines[0].removeprefix(_BOM)
    return Chunk(first, [line[:-1] if line.endswith(b"\r") else line for line in lines])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, str]]:
    """The unpacked bytes, and the name of the unpacked file."""
    if path.suffix == _ZIP:
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive)
            with archive.open(member) as file:
                yield file, PurePosixPath(member.filename).name
    elif path.suffix == _GZIP:
        with gzip.open(path) as file:
            yield file, path.stem
    else:
        with path.open("rb") as file:
            yield file, path.name


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only file of lines in a zip; other files are passed over."""
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_litter(member.filename)]
    candidates = [member for member in members if PurePosixPath(member.filename).suffix in _LINES] or members
    if len(candidates) != 1:
        raise UsageError(f"{path} holds {len(candidates)} files where a dump holds one: unpack it and name the file")
    return candidates[0]


def _is_litter(name: str) -> bool:
    return any(part in _LITTER or part.startswith(".") for part in PurePosixPath(name).parts)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError
    ) as error:  # fmt: skip
        raise UsageError(f"{path} is not a whole {path.suffix[1:]} file ({error}): fetch it again") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
