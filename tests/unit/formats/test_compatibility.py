"""No format breaks with one that was released, in either direction."""

import json
from pathlib import Path
from typing import Any

import pytest

from describe.__main__ import RELEASED
from describe.compatibility import breaks
from describe.records import record_schemas
from processors.engine.state import VERSION

RELEASES = sorted(RELEASED.iterdir())
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 9},
        "side": {"type": "string", "enum": ["buy", "sell"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9, "default": 0},
        "note": {"type": ["string", "null"], "default": None},
    },
    "required": ["id", "side"],
}


def changed(*, required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """`SCHEMA` with fields replaced, or removed where they are None."""
    fields = {name: field for name, field in {**SCHEMA["properties"], **properties}.items() if field is not None}
    return {**SCHEMA, "properties": fields, "required": required or SCHEMA["required"]}


def test_there_is_a_release_to_hold_to() -> None:
    assert RELEASES
    assert all((release / "trade.json").exists() for release in RELEASES)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_no_record_breaks_with_a_release(release: Path) -> None:
    today = record_schemas()
    for path in sorted(release.glob("*.json")):
        assert path.stem in today, f"BACKWARD: nothing reads the record {path.stem} of {release.name} any more"
        released = json.loads(path.read_text())
        found = list(breaks(released, today[path.stem], path.stem))
        if path.stem == "state" and released["$defs"]["position"]["properties"]["v"]["maximum"] < VERSION:
            found = [sentence for sentence in found if sentence.startswith("BACKWARD")]  # an older engine stops
        assert not found, f"docs/formats.md, How the formats grow: {found}"


@pytest.mark.parametrize(
    "new",
    [
        SCHEMA,
        changed(more={"type": "string", "default": "x"}),
        changed(id={"type": "string", "minLength": 1, "maxLength": 9, "description": "told better"}),
    ],
    ids=["the same", "an optional field", "a description"],
)
def test_what_may_change(new: dict[str, Any]) -> None:
    assert list(breaks(SCHEMA, new)) == []


@pytest.mark.parametrize(
    ("new", "directions"),
    [
        (changed(required=["id", "side", "more"], more={"type": "string"}), {"BACKWARD"}),
        (changed(required=["id", "side", "count"]), {"BACKWARD"}),
        (changed(required=["id"]), {"FORWARD"}),
        (changed(id=None, required=["side"]), {"FORWARD"}),
        (changed(note=None), {"FORWARD"}),
        (changed(id={"type": "string", "minLength": 1, "maxLength": 8}), {"BACKWARD"}),
        (changed(id={"type": "string", "minLength": 2, "maxLength": 9}), {"BACKWARD"}),
        (changed(id={"type": "string", "minLength": 1}), {"FORWARD"}),
        (changed(id={"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^[a-z]+$"}), {"BACKWARD"}),
        (changed(id={"type": "integer", "minLength": 1, "maxLength": 9}), {"BACKWARD", "FORWARD"}),
        (changed(side={"type": "string", "enum": ["buy"]}), {"BACKWARD"}),
        (changed(side={"type": "string", "enum": ["buy", "sell", "none"]}), {"FORWARD"}),
        (changed(note={"type": "string", "default": None}), {"BACKWARD"}),
        (changed(count={"type": "integer", "minimum": -1, "maximum": 9, "default": 0}), {"FORWARD"}),
        (changed(count={"type": "integer", "minimum": 0, "maximum": 8, "default": 0}), {"BACKWARD"}),
        (changed(count={"type": "integer", "minimum": 0, "maximum": 9, "default": 1}), {"BACKWARD"}),
        (changed(identity=SCHEMA["properties"]["id"], id=None, required=["identity", "side"]), {"BACKWARD", "FORWARD"}),
    ],
    ids=[
        *["a required field more", "an optional field required", "a required field optional"],
        *["a required field less", "an optional field less", "shorter", "longer at least", "longer", "a pattern"],
        *["another type", "a value less", "a value more", "null no more", "a wider range", "a narrower range"],
        *["another default", "another name"],
    ],
)
def test_what_may_not_change_is_told_in_a_sentence_with_its_direction(
    new: dict[str, Any], directions: set[str]
) -> None:
    sentences = list(breaks(SCHEMA, new))
    assert {sentence.split(":")[0] for sentence in sentences} == directions
    assert all("the record." in sentence for sentence in sentences)


def test_what_is_inside_is_compared_too() -> None:
    def outer(inner: dict[str, Any]) -> dict[str, Any]:
        return {"$defs": {"Window": inner}, "items": inner, "prefixItems": [inner], "additionalProperties": inner}

    places = {sentence.split()[1].split(".")[0] for sentence in breaks(outer(SCHEMA), outer(changed(note=None)))}
    assert places == {"Window", "the"}
    assert len(list(breaks(outer(SCHEMA), outer(changed(note=None))))) == 4
    assert list(breaks({"prefixItems": [SCHEMA]}, {"prefixItems": []}))
    assert list(breaks({"items": SCHEMA}, {}))
