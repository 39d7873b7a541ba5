"""What the HTTP front has to know of a ClickHouse statement and of an exception; pure."""

import re
from typing import NamedTuple

_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_INSERT = re.compile(
    rf"{_SPACE}(?P<head>INSERT\s+INTO\s(?:`[^`]*`|(?!\b(?:SELECT|VALUES|WITH)\b)[^`])+?)\s+FORMAT\s+(?P<format>\w+)"
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
"""UNKNOWN_EXCEPTION, ClickHouse's code for an exception without a code of its own."""

_STATUS = {
    400: {
        "CANNOT_PARSE_TEXT": 6,
        "CANNOT_PARSE_ESCAPE_SEQUENCE": 25,
        "CANNOT_PARSE_QUOTED_STRING": 26,
        "CANNOT_PARSE_INPUT_ASSERTION_FAILED": 27,
        "CANNOT_PARSE_DATE": 38,
        "CANNOT_PARSE_DATETIME": 41,
        "TYPE_MISMATCH": 53,
        "SYNTAX_ERROR": 62,
        "CANNOT_PARSE_NUMBER": 72,
        "INCORRECT_DATA": 117,
        "TOO_BIG_AST": 168,
        "ILLEGAL_AGGREGATION": 184,
        "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING": 441,
        "BAD_QUERY_PARAMETER": 457,
        "CANNOT_PARSE_IPV4": 675,
        "CANNOT_PARSE_IPV6": 676,
    },
    403: {
        "UNKNOWN_USER": 192,
        "WRONG_PASSWORD": 193,
        "ACCESS_DENIED": 497,
        "AUTHENTICATION_FAILED": 516,
    },
    404: {
        "UNKNOWN_FUNCTION": 46,
        "UNKNOWN_IDENTIFIER": 47,
        "UNKNOWN_TYPE": 50,
        "UNKNOWN_STORAGE": 56,
        "TABLE_METADATA_ALREADY_EXISTS": 58,
        "UNKNOWN_TABLE": 60,
        "UNKNOWN_AGGREGATE_FUNCTION": 63,
        "UNKNOWN_FORMAT": 73,
        "UNKNOWN_TYPE_OF_QUERY": 78,
        "UNKNOWN_DATABASE": 81,
        "UNKNOWN_SETTING": 115,
        "UNKNOWN_DIRECTION_OF_SORTING": 152,
        "UNKNOWN_DATABASE_ENGINE": 336,
        "UNKNOWN_ROLE": 511,
    },
    408: {
        "TIMEOUT_EXCEEDED": 159,
    },
    413: {
        "QUERY_IS_TOO_LARGE": 229,
    },
    501: {
        "NOT_IMPLEMENTED": 48,
    },
    503: {
        "TOO_MANY_SIMULTANEOUS_QUERIES": 202,
        "SOCKET_TIMEOUT": 209,
        "CANNOT_SCHEDULE_TASK": 439,
    },
}
"""ClickHouse's names and codes of exceptions, by the HTTP status that its server answers with (its HTTPHandler)."""
_STATUS_BY_CODE = {code: status for status, codes in _STATUS.items() for code in codes.values()}


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
    if not (match := _INSERT.match(head)):
        return None
    rows = memoryview(text)[match.end() :]
    if statement and body:
        rows = memoryview(bytes(rows) + body) if len(rows) else memoryview(body)
    return Insert(match["head"].encode("latin-1").decode(), match["format"], rows)


def output_format(statement: str, default: str) -> str:
    """The format that the statement itself asks for, else the request's."""
    match = _OUTPUT.search(statement[-1000:])
    return match[1] if match else default


def gives_rows(statement: str) -> bool:
    """Whether the statement answers with rows, even if there are none."""
    return _ROWS.match(statement) is not None


def quote(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def exception_code(message: str) -> int:
    """The code in ClickHouse's message of an exception."""
    match = _CODE.search(message)
    return int(match[1]) if match else UNCLASSIFIED


def http_status(code: int) -> int:
    """The HTTP status that a ClickHouse server answers with for an exception code (its HTTPHandler's table)."""
    return _STATUS_BY_CODE.get(code, 500)
