"""Models to JSON Schemas (2020-12): what `market.codec` reads, so that another language can check a record.

Decimals are texts with a pattern, whole numbers have their bounds, unknown fields are allowed. What a schema cannot
say stands in formats.md: JSON Schema takes 1.0 for a whole number, counts characters and not bytes, and holds no field
against another.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import NoneType
from typing import Any, get_args

import msgspec
from msgspec import inspect, structs

from describe.page import meanings, opening
from describe.state import BARS_STATE, STATE
from market.bar import Bar
from market.candle import Candle
from market.feed import FeedEvent, Progress
from market.fields import MAX_NAME
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.limits import AMOUNTS, MAX_VALUE_NAME, PRICE, SIGNAL_VALUE, Limit
from market.signal import Signal
from market.ticker import Ticker, Window
from market.trade import Marker, Proof, Trade

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIGNED = {"change", "change_percent", "rate"}
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_NAME = f"^[^{_CONTROL}]+$"
_PATTERNS = {"exchange": f"^[^:|{_CONTROL}]+$", "symbol": f"^[^|{_CONTROL}]+$"}
"""Or two markets could share a record key."""
_MARKET_KEY = f"^[^:|{_CONTROL}]+:[^|{_CONTROL}]+$"
_SECTIONS = {
    Trade: "Trade",
    GivenCandle: "Kline",
    Candle: "Candle",
    Bar: "Bar",
    Ticker: "Ticker",
    Signal: "Signal",
    FeedEvent: "Feed event",
    Progress: "Progress",
    Instrument: "Instrument",
    FundingRate: "Funding rate",
}
NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": _NAME}
_TIME_TEXT = {"type": "string", "pattern": "^0*[0-9]{1,16}$"}


def record_schemas() -> dict[str, Schema]:
    """File name without suffix → schema, of every record and of the headers that stand for one."""
    return {
        **{section.lower().replace(" ", "-"): _value_schema(model, section) for model, section in _SECTIONS.items()},
        "run-header": _headers_schema("Run", "Headers of a trade, a candle or a bar, as texts.", {"run": NAME}, []),
        "marker": _marker_schema(),
        "dead-letter": _dead_letter_schema(),
        "state": {"$schema": DIALECT, "title": "State", "description": opening("State"), **STATE},
        "bars-state": {
            "$schema": DIALECT,
            "title": "Bars state",
            "description": opening("Bars state"),
            **BARS_STATE,
        },
    }


def _value_schema(model: type[msgspec.Struct], section: str) -> Schema:
    inner = {"$defs": {"Window": _object(Window, meanings(section))}} if model is Ticker else {}
    return {
        "$schema": DIALECT,
        "title": section,
        "description": opening(section),
        **_object(model, meanings(section)),
        **inner,
    }


def _object(model: type[msgspec.Struct], meaning: Mapping[str, str]) -> Schema:
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)  # noqa: S101  # models are Structs
    properties = {}
    for field in info.fields:
        schema = _field(model, field.name, field.type)
        if not field.required:
            schema["default"] = field.default
        properties[field.name] = {"description": meaning[field.name], **schema}
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in info.fields if field.required],
    }


def _field(model: type[msgspec.Struct], name: str, kind: inspect.Type) -> Schema:
    if isinstance(kind, inspect.UnionType):
        (inner,) = (
            _field(model, name, of_union) for of_union in kind.types if not isinstance(of_union, inspect.NoneType)
        )
        return {**inner, "type": [inner["type"], "null"]}
    schema: Schema
    match kind:
        case inspect.DecimalType():
            schema = _decimal(AMOUNTS.get(name, PRICE), positive=name not in AMOUNTS, signed=name in _SIGNED)
        case inspect.StrType() if name == "other":
            schema = {"type": "string", "pattern": _MARKET_KEY}
        case inspect.StrType():
            schema = {**NAME, "pattern": _PATTERNS.get(name, _NAME)} if kind.max_length else {"type": "string"}
        case inspect.IntType():
            greatest = kind.lt - 1 if kind.lt is not None else kind.le
            schema = {"type": "integer", **_given(minimum=kind.ge, maximum=greatest)}
        case inspect.EnumType():
            schema = {"type": "string", "enum": [member.value for member in kind.cls]}
        case inspect.BoolType():
            schema = {"type": "boolean"}
        case inspect.DictType(value_type=inspect.DecimalType()):
            names = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE_NAME}
            value = _decimal(SIGNAL_VALUE, signed=True)
            schema = {"type": "object", "propertyNames": names, "additionalProperties": value}
        case inspect.DictType():
            schema = {"type": "object", "propertyNames": NAME, "additionalProperties": {"$ref": "#/$defs/Window"}}
        case _:
            raise TypeError(f"{model.__name__}.{name}: no JSON Schema is known for {kind}")
    return schema


def _marker_schema() -> Schema:
    """The headers of a marker as texts; one without a value is null."""
    meaning = meanings("Marker")
    properties: Schema = {}
    for field in structs.fields(Marker):
        properties[field.name] = {"description": meaning[field.name], **_header(field.type)}
    required = [field.name for field in structs.fields(Marker) if field.required]
    schema = _headers_schema("Marker", opening("Marker"), properties, required)
    proof_is_kline = {"properties": {"proof": {"const": Proof.KLINE.value}}, "required": ["proof"]}
    return {**schema, "if": proof_is_kline, "then": {"required": ["kline"]}}


def _header(kind: Any) -> Schema:
    (kind,) = [given for given in get_args(kind) if given is not NoneType] or [kind]
    if kind is int:
        return _TIME_TEXT
    if kind is Proof:
        return {"type": "string", "enum": [proof.value for proof in Proof]}
    if kind is Decimal:
        return _decimal(PRICE, positive=True)
    if kind is bool:
        return {}  # that it is there is what it says
    if kind is GivenCandle:
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": "kline.json"}}
    return NAME


def _dead_letter_schema() -> Schema:
    """The headers of a dead letter behind those of the record; an import's has a file and a line for a place."""
    properties: Schema = {}
    for name, meaning in meanings("Dead letter").items():
        number = {"pattern": "^[0-9]+$"} if name.endswith(("partition", "offset", "bytes", "line")) else {}
        properties[name] = {"description": meaning, "type": "string", **number}
    required = [f"__streams.errors.{name}" for name in ("exception", "message")]
    return _headers_schema("Dead letter", opening("Dead letter"), properties, required)


def _headers_schema(title: str, description: str, properties: Schema, required: list[str]) -> Schema:
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _decimal(limit: Limit, *, positive: bool = False, signed: bool = False) -> Schema:
    sign = "-?" if signed else "(?![0.]*$)" if positive else ""
    digits = rf"0*[0-9]{{1,{limit.whole}}}(?:\.[0-9]{{1,{limit.places}}}0*)?"
    return {"type": "string", "pattern": f"^{sign}{digits}$"}


def _given(**limits: object) -> Schema:
    return {name: limit for name, limit in limits.items() if limit is not None}
