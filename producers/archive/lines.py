"""Files of lines, plain or zipped, read in chunks: what is held does not depend on how large a file is."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from runtime.errors import UsageError

CHUNK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_EXPANSION = 200
"""A zip of trades expands some ten times; one that claims more than this is made to fill a disk."""
_BOM = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """Lines that follow each other, without their ends; `first` is the number of the first, from 1."""

    first: int
    lines: list[bytes]


class Content(NamedTuple):
    """What is to be read of a file: its size, and the name of the file in it (for a zip)."""

    size_bytes: int
    name: str


def look_into(path: Path) -> Content:
    """Size and name of the lines in `path`."""
    with _reading(path), _opened(path) as (_, content):
        return content


def read_lines(path: Path) -> Iterator[Chunk]:
    """The lines of `path`; `UsageError` where it cannot be read to its end."""
    with _reading(path), _opened(path) as (file, _):
        number, rest = 1, b""
        while block := file.read(CHUNK_BYTES):
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


def _chunk(first: int, lines: list[bytes]) -> Chunk:
    if first == 1:
        lines[0] = lines[0].removeprefix(_BOM)
    return Chunk(first, [line[:-1] if line.endswith(b"\r") else line for line in lines])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Content]]:
    if path.suffix != ".zip":
        with path.open("rb") as file:
            yield file, Content(path.stat().st_size, path.name)
        return
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise UsageError(f"{path} holds {len(members)} files where a dump holds one: unpack it and name the file")
        member = members[0]
        if member.file_size > CHUNK_BYTES and member.file_size > MAX_EXPANSION * member.compress_size:
            raise UsageError(f"{path} expands more than {MAX_EXPANSION} times: not a dump of trades")
        with archive.open(member) as file:
            yield file, Content(member.file_size, Path(member.filename).name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path} is not a whole zip ({error}): fetch it again") from error
