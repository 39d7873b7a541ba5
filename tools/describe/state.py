"""The candle engine's own state, by its values: its fields have no models, tests hold this against the real engine."""

from typing import Any

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
