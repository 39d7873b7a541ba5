"""Lines of a CSV as cells, by one regular expression for a whole line. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence

from market.errors import MalformedError

ANY = rb"([^,]*)"
DECIMAL = rb"([0-9]{1,40}(?:\.[0-9]{1,40})?)"
"""A price or size in plain digits."""


def row_matcher(columns: Sequence[str], patterns: Mapping[str, bytes]) -> Callable[[bytes], re.Match[bytes]]:
    """A function that matches a line: its group n is column n, from 1. It raises `MalformedError`, naming the column.

    `patterns` has a pattern of one group for each column that is read; others are passed over.
    """
    match = re.compile(b",".join(patterns.get(name, ANY) for name in columns)).fullmatch

    def cells(line: bytes) -> re.Match[bytes]:
        matched = match(line)
        if matched is None:
            raise MalformedError(_reason(line, columns, patterns))
        return matched

    return cells


def places_of(columns: Sequence[str], names: Sequence[str]) -> list[int]:
    """The groups of a match that hold the columns with these names."""
    return [columns.index(name) + 1 for name in names]


def _reason(line: bytes, columns: Sequence[str], patterns: Mapping[str, bytes]) -> str:
    cells = line.split(b",")
    if len(cells) != len(columns):
        return f"{len(cells)} columns where such a file has {len(columns)} ({', '.join(columns)})"
    name, cell = next(
        (name, cell)
        for name, cell in zip(columns, cells, strict=True)
        if not re.fullmatch(patterns.get(name, ANY), cell)
    )
    return f"{name} is {cell[:60].decode(errors='backslashreplace')!r}"
