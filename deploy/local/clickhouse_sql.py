"""What the HTTP front has to know of a ClickHouse statement and of an exception; pure."""

import re
from typing import NamedTuple

_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_INSERT = re.compile(
    rf"{_SPACE}(?P<head>INSERT\s+INTO\s(?:(?!\b(?:SELECT|VALUES|WITH)\b).)+?)\s+FORMAT\s+(?P<format>\w+)"
    r"(?:[ \t]*;)?(?:[ \t]*\r?\n|[ \t]+|$)",
    re.IGNORECASE | re.DOTALL,
)
_OUTPUT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\b[^()']*)?;?\s*$", re.IGNORECASE)
_ROWS = re.compile(
    rf"{_SPACE}(?:\(|(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|FROM)\b)", re.IGNORECASE | re.DOTALL
)
_CODE = re.compile(r"Code: (\d+)\.")
_HEAD_BYTES = 65_536

UNCLASSIFIED = 1002
"""ClickHouse's code for an exception without a code of its own."""

_STATUS = {
    400: (6, 25, 26, 27, 38, 41, 53, 62, 72, 117, 168, 184, 441, 457, 675, 676),
    403: (192, 193, 497, 516),
    404: (46, 47, 50, 56, 58, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    413: (223,),
    501: (48,),
    503: (202, 209, 439),
}
_STATUS_BY_CODE = {code: status for status, codes in _STATUS.items() for code in codes}


class Insert(NamedTuple):
    """An INSERT whose rows come along in `format`."""

    head: str
    """The statement up to FORMAT."""
    format: str
    rows: memoryview


def split_insert(statement: bytes, body: bytes) -> Insert | None:
    """The parts of an ``INSERT … FORMAT …``; None for any other statement.

    `statement` is the ``query`` parameter and `body` the rows, or `statement` is empty and `body` holds both.
    """
    text = statement or body
    head = text[:_HEAD_BYTES].decode("latin-1")  # one character a byte, so positions are positions in the bytes
    if not (found := _INSERT.match(head)):
        return None
    rows = memoryview(text)[found.end() :]
    if statement and body:
        rows = memoryview(bytes(rows) + body) if len(rows) else memoryview(body)
    return Insert(found["head"].encode("latin-1").decode(), found["format"], rows)


def output_format(statement: str, default: str) -> str:
    """The format that the statement itself asks for, else the request's."""
    found = _OUTPUT.search(statement[-1000:])
    return found[1] if found else default


def gives_rows(statement: str) -> bool:
    """Whether the statement is one that answers with rows, be they none."""
    return _ROWS.match(statement) is not None


def quote(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def exception_code(message: str) -> int:
    """The code in ClickHouse's message of an exception."""
    found = _CODE.search(message)
    return int(found[1]) if found else UNCLASSIFIED


def http_status(code: int) -> int:
    """The HTTP status that a ClickHouse server answers with for an exception code (its HTTPHandler's table)."""
    return _STATUS_BY_CODE.get(code, 500)
