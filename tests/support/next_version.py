"""Records of a version to come: everything that today's has, and fields, headers and kinds that it does not know."""

import json
from typing import Any

import orjson
from market_log import LogRecord

from market.candle import Candle

UNKNOWN = {"next": {"deep": [1.5, "NaN", None]}, "note": "ünknown", "version": 2}
UNKNOWN_HEADERS = (("next", b"\xff\x00"), ("traceparent", b"00-1"), ("empty", b""))


def everywhere(value: Any, *, within: str = "") -> Any:
    """Unknown fields in every object of a record, but where names mean something (of windows, of values)."""
    if isinstance(value, dict):
        more = {} if within in ("windows", "values") else UNKNOWN
        return {**more, **{name: everywhere(inner, within=name) for name, inner in value.items()}}
    return value


def grown(value: bytes) -> bytes:
    """A JSON value with unknown fields."""
    return json.dumps(everywhere(orjson.loads(value))).encode()


def with_unknown(record: LogRecord) -> LogRecord:
    """A record of the log with unknown fields and headers; bytes that are no trade stay what they are."""
    value = record.value
    if value and b"trade_id" in value:
        value = grown(value)
    return record._replace(value=value, headers=(*UNKNOWN_HEADERS, *record.headers, *UNKNOWN_HEADERS))


def is_grown(value: bytes) -> bool:
    """Whether a version to come wrote it."""
    return b'"next"' in value


def known_bytes(candle: bytes) -> bytes:
    """A candle's known fields, in the bytes that today's version writes."""
    fields = orjson.loads(candle)
    return orjson.dumps({name: fields[name] for name in Candle.__struct_fields__})
