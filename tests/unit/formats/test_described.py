"""docs/asyncapi.yaml and docs/schemas say what the models and topics are, and are well-formed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from describe.__main__ import DOCS, files
from describe.asyncapi import document, messages_of
from market.topics import Topics

DOCUMENT: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
SPECS = {spec.name: spec for spec in Topics().specs()}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if set(part) == {"$ref"}:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def found(reference: str) -> Any:
    file, _, path = reference.partition("#")
    part: Any = yaml.safe_load((DOCS / file).read_text()) if file else DOCUMENT
    for step in filter(None, path.split("/")):
        part = part[step]
    return part


def test_the_files_are_what_the_models_say() -> None:
    for name, text in files().items():
        assert (DOCS / name).read_text() == text, f"docs/{name} is not what the models say: run make schemas"
    assert {f"schemas/{path.name}" for path in DOCS.glob("schemas/*.json")} == files().keys() - {"asyncapi.yaml"}


def test_the_document_is_what_was_made() -> None:
    assert document() == DOCUMENT
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"info", "channels", "operations", "components"} <= DOCUMENT.keys()


def test_every_topic_is_a_channel_with_its_partitions_and_settings() -> None:
    assert DOCUMENT["channels"].keys() == SPECS.keys()
    for name, channel in DOCUMENT["channels"].items():
        kafka = channel["bindings"]["kafka"]
        assert (channel["address"], kafka["topic"], kafka["partitions"]) == (name, name, SPECS[name].partitions)
        told = {key: ",".join(value) if isinstance(value, list) else str(value)
                for key, value in kafka["topicConfiguration"].items()}  # fmt: skip
        assert told == SPECS[name].config


def test_every_record_kind_is_in_some_topic() -> None:
    assert {message for topic in SPECS for message in messages_of(topic)} == DOCUMENT["components"]["messages"].keys()


def test_a_marker_has_no_payload() -> None:
    assert DOCUMENT["components"]["messages"]["marker"]["payload"]["type"] == "null"


def test_every_reference_leads_somewhere() -> None:
    all_of_them = list(references(DOCUMENT))
    assert len(all_of_them) > 80
    for reference in all_of_them:
        assert found(reference)


def test_operations_are_of_topics_that_hold_something() -> None:
    for name, operation in DOCUMENT["operations"].items():
        assert f".{operation['action']}s." in name
        assert found(operation["channel"]["$ref"])["messages"], name


@pytest.mark.parametrize("path", sorted(DOCS.glob("schemas/**/*.json")), ids=lambda path: path.stem)
def test_every_schema_is_one(path: Path) -> None:
    Draft202012Validator.check_schema(yaml.safe_load(path.read_text()))
