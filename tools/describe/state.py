"""The engines' own state, by its values: its fields have no models, tests hold this against the real engines."""

from typing import Any

from market.bar import BarKind
from market.candle import Status
from market.decimals import PLAIN, SUM
from processors.engine.state import VERSION

_NO_INT = {"type": ["integer", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NO_SEQ = {"type": ["integer", "null"], "minimum": 0, "default": None}
_PRICE = {"type": "string", "pattern": f"^{PLAIN}$"}
_NO_PRICE = {"type": ["string", "null"], "pattern": f"^{PLAIN}$"}
_SUM = {"type": "string", "pattern": f"^{SUM.removeprefix('-?')}$"}
_TEXT = {"type": "string"}
_VERSION = {"type": "integer", "minimum": 1, "maximum": VERSION}


def _row(*columns: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": list(columns), "minItems": len(columns), "maxItems": len(columns)}


def _object(
    description: str, later: dict[str, dict[str, Any]] | None = None, **properties: dict[str, Any]
) -> dict[str, Any]:
    """`later`: fields that yesterday's records lack."""
    return {
        "description": description,
        "type": "object",
        "properties": properties | (later or {}),
        "required": list(properties),
    }


STATE = {
    "anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in ("position", "committed", "series", "minute")],
    "$defs": {
        "position": _object(
            'Key ["position"].',
            {"topic_id": {"type": ["string", "null"], "default": None}, "revision_base": {**_COUNT, "default": 0}},
            v=_VERSION,
            offset=_COUNT,
            floor_us=_NO_INT,
        ),
        "committed": _object('Key ["committed"].', v=_VERSION, offset=_COUNT),
        "series": _object(
            'Key ["series", market, run or null].',
            v=_VERSION,
            begin_us=_NO_INT,
            final_until_us=_NO_INT,
            floor_us=_NO_INT,
            first_price=_NO_PRICE,
            prior_price=_NO_PRICE,
            prior_open_us=_NO_INT,
        ),
        "minute": _object(
            'Key ["minute", market, run or null, open_us].',
            v=_VERSION,
            fold={"anyOf": [{"$ref": "#/$defs/fold"}, {"type": "null"}]},
            status={"type": ["string", "null"], "enum": [*(s.value for s in Status if s is not Status.OPEN), None]},
            price=_NO_PRICE,
            kline={"description": "As in kline.json.", "type": ["object", "null"]},
            emitted={"type": "boolean"},
            changed={"type": "boolean"},
            newest_offset=_COUNT,
        ),
        "fold": _object(
            "The minute's trades.",
            {"open_seq": _NO_SEQ, "close_seq": _NO_SEQ},
            ids={"type": "array", "items": _row(_COUNT, _COUNT)},
            texts={"type": "array", "items": _TEXT},
            trades=_COUNT,
            open=_row(_PRICE, _COUNT, _TEXT),
            close=_row(_PRICE, _COUNT, _TEXT),
            high=_PRICE,
            low=_PRICE,
            sums=_row(_SUM, _SUM, _SUM, _SUM),
        ),
    },
}

_CLOSED = [status.value for status in Status if status is not Status.OPEN]
_STATUS = {"type": "string", "enum": _CLOSED}
_NO_STATUS = {"type": ["string", "null"], "enum": [*_CLOSED, None]}
_BOOL = {"type": "boolean"}
_TRADE = _row(_COUNT, _TEXT, _PRICE, _PRICE, _BOOL, {"type": ["integer", "null"], "minimum": 0})
_BAR: dict[str, dict[str, Any]] = {
    "number": {"type": "integer", "minimum": 1},
    "from_us": _COUNT,
    "carried": _SUM,
    "remainder": {"type": ["string", "null"], "pattern": _SUM["pattern"]},
    "first": {"anyOf": [{"$ref": "#/$defs/trade"}, {"type": "null"}]},
    "last": {"anyOf": [{"$ref": "#/$defs/trade"}, {"type": "null"}]},
    "high": _SUM,
    "low": _SUM,
    "trades": _COUNT,
    "volume": _SUM,
    "quote_volume": _SUM,
    "taker_buy_volume": _SUM,
    "taker_buy_quote_volume": _SUM,
    "late_trades": _COUNT,
    "final_status": _STATUS,
    "status": _NO_STATUS,
    "changed": _BOOL,
}
_SIZE = _row({"type": "string", "enum": [kind.value for kind in BarKind]}, _PRICE)

BARS_STATE = {
    "anyOf": [
        {"$ref": f"#/$defs/{kind}"}
        for kind in ("position", "committed", "thresholds", "series", "minute", "trades", "open", "bar")
    ],
    "$defs": {
        "position": _object(
            'Key ["position"].',
            v=_VERSION,
            offset=_COUNT,
            floor_us=_NO_INT,
            topic_id={"type": ["string", "null"]},
            revision_base=_COUNT,
        ),
        "committed": _object('Key ["committed"].', v=_VERSION, offset=_COUNT),
        "thresholds": _object(
            'Key ["thresholds"]: the tables of the file, in its order.',
            v=_VERSION,
            tables={"type": "array", "items": _row(_TEXT, {"type": "array", "items": _SIZE})},
        ),
        "series": _object(
            'Key ["series", market, run or null].',
            v=_VERSION,
            begin_us=_NO_INT,
            final_until_us=_NO_INT,
            folded_until_us=_NO_INT,
            floor_us=_NO_INT,
            ended=_BOOL,
        ),
        "minute": _object(
            'Key ["minute", market, run or null, open_us].',
            v=_VERSION,
            status=_NO_STATUS,
            ids={"type": "array", "items": _row(_COUNT, _COUNT)},
            texts={"type": "array", "items": _TEXT},
        ),
        "trades": _object(
            'Key ["trades", market, run or null, open_us, place]: trades that wait for the end of their minute.',
            v=_VERSION,
            rows={"type": "array", "items": {"$ref": "#/$defs/trade"}},
        ),
        "open": _object(
            'Key ["open", market, run or null, kind, threshold]: the open bar.', v=_VERSION, begin_us=_COUNT, **_BAR
        ),
        "bar": _object(
            'Key ["bar", market, run or null, kind, threshold, number]: a closed bar that can still change.',
            v=_VERSION,
            **_BAR,
        ),
        "trade": {**_TRADE, "description": "Time in microseconds, id, price, size, whether its taker bought, seq."},
    },
}
